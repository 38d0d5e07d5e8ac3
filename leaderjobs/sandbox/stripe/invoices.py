"""Invoices from draft to paid, and what ties them to payment intents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from leaderjobs.sandbox.keyed import OTHER, Actor
from leaderjobs.sandbox.stripe.account import Account
from leaderjobs.sandbox.stripe.errors import StripeError
from leaderjobs.sandbox.stripe.objects import Customer, Intent, Invoice, InvoiceItem, InvoicePayment, Line
from leaderjobs.sandbox.stripe.payments import Payments

MOST_LINES = 250
MOST_CUSTOMERS = 100
"""So many share the invoices that the sandbox makes of its own accord."""


@dataclass(frozen=True, slots=True)
class Pay:
    """How an invoice is to be paid."""

    payment_method: str | None = None
    off_session: bool = True
    out_of_band: bool = False


class Invoices:
    """Acts on invoices; hears from `payments` what has come of their payment intents."""

    def __init__(self, account: Account, payments: Payments) -> None:
        """On this account's shelves."""
        self._account = account
        self._payments = payments
        self._numbers = 0
        payments.paid = self._paid
        payments.failed = self._failed

    def create(
        self,
        actor: Actor,
        *,
        customer: Customer,
        currency: str,
        auto_advance: bool = False,
        collection_method: str = "charge_automatically",
        payment_method: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        take_pending: bool = False,
    ) -> Invoice:
        """A draft; with `take_pending`, of what waits for the customer's next invoice."""
        invoice = Invoice(
            id=self._account.new_id("in"),
            created=self._account.now(),
            customer=customer.id,
            currency=currency,
            auto_advance=auto_advance,
            collection_method=collection_method,
            default_payment_method=payment_method,
            description=description,
            metadata=metadata or {},
        )
        waiting = []
        if take_pending:
            waiting = [
                replace(item, invoice=invoice.id)
                for item in self._account.items.rows()
                if item.invoice is None and (item.customer, item.currency) == (customer.id, currency)
            ][:MOST_LINES]
            invoice = replace(invoice, lines=tuple(self._line(item) for item in reversed(waiting)))
        for item in waiting:
            self._account.put(item)
        self._account.put(invoice)
        self._account.emit("invoice.created", invoice, actor)
        return invoice

    def add(
        self,
        actor: Actor,
        *,
        customer: Customer,
        invoice: Invoice | None,
        amount: int,
        currency: str,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> InvoiceItem:
        """An amount on a draft, or one that waits."""
        if invoice is not None and (invoice.status != "draft" or len(invoice.lines) >= MOST_LINES):
            text = f"Items cannot be added to invoice {invoice.id}, which is {invoice.status}."
            raise StripeError(text, code="invoice_not_editable", param="invoice")
        if invoice is not None and (invoice.customer, invoice.currency) != (customer.id, currency):
            text = "The customer and the currency must be those of the invoice."
            raise StripeError(text, param="invoice")
        item = InvoiceItem(
            id=self._account.new_id("ii"),
            created=self._account.now(),
            customer=customer.id,
            invoice=invoice.id if invoice else None,
            amount=amount,
            currency=currency,
            description=description,
            metadata=metadata or {},
        )
        self._account.put(item)
        self._account.emit("invoiceitem.created", item, actor)
        if invoice is not None:
            self._account.put(replace(invoice, lines=(*invoice.lines, self._line(item))))
        return item

    def finalize(self, invoice: Invoice, actor: Actor, *, auto_advance: bool | None = None) -> Invoice:
        """A draft becomes open, with the payment intent that will pay it; nothing due is paid at once."""
        if invoice.status != "draft":
            text = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
            raise StripeError(text, code="invoice_not_editable")
        self._numbers += 1
        invoice = replace(
            invoice,
            status="open",
            number=f"SBX-{self._numbers:06d}",
            finalized_at=self._account.now(),
            auto_advance=invoice.auto_advance if auto_advance is None else auto_advance,
        )
        if invoice.amount > 0:
            invoice = self._ask(invoice, actor)
        self._account.put(invoice)
        self._account.emit("invoice.finalized", invoice, actor)
        return invoice if invoice.amount > 0 else self._close(invoice, actor, amount_paid=0)

    def pay(self, invoice: Invoice, actor: Actor, how: Pay) -> Invoice:
        """Charge the card that is given, or the invoice's own, or its customer's."""
        if invoice.status == "paid":
            raise StripeError("Invoice is already paid")
        if invoice.status != "open":
            raise StripeError(f"You cannot pay this invoice, because it has a status of {invoice.status}.")
        intent = self._account.find(self._account.intents, invoice.intent or "")
        if intent.status == "processing":
            raise StripeError("You cannot pay this invoice while a payment of it is processing.")
        if how.out_of_band:
            self._let_go(invoice, actor, "automatic")
            return self._close(replace(invoice, paid_off_stripe=invoice.amount), actor, amount_paid=0)
        customer = self._account.customers.get(invoice.customer)
        fallback = customer.default_payment_method if customer else None
        method = how.payment_method or invoice.default_payment_method or fallback
        if method is None:
            raise StripeError(
                "There is no `default_payment_method` set on this Customer or Invoice. Please set either "
                "before you pay, or pass a `payment_method`."
            )
        attempted = replace(invoice, attempt_count=invoice.attempt_count + 1)
        self._account.put(attempted)
        intent = self._payments.confirm(
            intent, actor, payment_method=method, off_session=how.off_session, strict=False
        )
        if intent.status == "requires_action":
            raise StripeError(
                "This payment requires additional user action before it can be completed successfully. "
                "Payment can be completed using the PaymentIntent associated with the invoice.",
                status=402,
                kind="card_error",
                code="invoice_payment_intent_requires_action",
                intent=intent,
            )
        return self._account.find(self._account.invoices, invoice.id)

    def void(self, invoice: Invoice, actor: Actor) -> Invoice:
        """Nothing is owed any more."""
        self._must_be(invoice, "void", "open", "uncollectible")
        self._let_go(invoice, actor, "void_invoice")
        invoice = replace(invoice, status="void", voided_at=self._account.now())
        self._account.put(invoice)
        self._account.emit("invoice.voided", invoice, actor)
        return invoice

    def give_up(self, invoice: Invoice, actor: Actor) -> Invoice:
        """Nobody expects it to be paid."""
        self._must_be(invoice, "mark uncollectible", "open")
        invoice = replace(invoice, status="uncollectible", uncollectible_at=self._account.now())
        self._account.put(invoice)
        self._account.emit("invoice.marked_uncollectible", invoice, actor)
        return invoice

    def delete(self, invoice: Invoice, actor: Actor) -> None:
        """A draft is gone for good."""
        self._must_be(invoice, "delete", "draft")
        self._account.emit("invoice.deleted", invoice, actor)
        self._account.remove(invoice)

    def _paid(self, intent: Intent, actor: Actor) -> None:
        """The invoice of a payment intent that has succeeded is paid."""
        if intent.invoice is None:
            return
        invoice = self._account.find(self._account.invoices, intent.invoice)
        payment = self._payment(invoice)
        if payment is not None:
            paid = replace(
                payment, status="paid", amount_paid=intent.amount_received, paid_at=self._account.now()
            )
            self._account.put(paid)
        if invoice.status in {"open", "uncollectible"}:
            self._close(invoice, actor, amount_paid=intent.amount_received)

    def _failed(self, intent: Intent, actor: Actor) -> None:
        if intent.invoice is not None:
            invoice = self._account.find(self._account.invoices, intent.invoice)
            self._account.emit("invoice.payment_failed", invoice, actor)

    def _ask(self, invoice: Invoice, actor: Actor) -> Invoice:
        """Give an invoice that is about to be open the payment intent that is to pay it."""
        intent = self._payments.create(
            actor,
            amount=invoice.amount,
            currency=invoice.currency,
            customer=invoice.customer,
            payment_method=invoice.default_payment_method,
            metadata={},
            invoice=invoice.id,
        )
        payment = InvoicePayment(
            id=self._account.new_id("inpay"),
            created=self._account.now(),
            invoice=invoice.id,
            intent=intent.id,
            amount_requested=invoice.amount,
            currency=invoice.currency,
        )
        self._account.put(payment)
        return replace(invoice, intent=intent.id, payment=payment.id)

    def _close(self, invoice: Invoice, actor: Actor, *, amount_paid: int) -> Invoice:
        """Nothing is due any more, because it was paid."""
        closed = replace(
            invoice, status="paid", amount_paid=amount_paid, paid_at=self._account.now(), auto_advance=False
        )
        self._account.put(closed)
        self._account.emit("invoice.paid", closed, actor, {"status": invoice.status})
        return closed

    def _let_go(self, invoice: Invoice, actor: Actor, reason: str) -> None:
        """The payment intent will not pay it."""
        intent = self._account.intents.get(invoice.intent or "")
        if intent is None or intent.status in {"succeeded", "canceled"}:
            return
        if intent.status == "processing":
            raise StripeError("This invoice has a payment that is processing.")
        self._payments.cancel(intent, actor, reason)
        payment = self._payment(invoice)
        if payment is not None:
            self._account.put(replace(payment, status="canceled", canceled_at=self._account.now()))

    def _payment(self, invoice: Invoice) -> InvoicePayment | None:
        return self._account.invoice_payments.get(invoice.payment or "")

    def _must_be(self, invoice: Invoice, doing: str, *allowed: str) -> None:
        if invoice.status not in allowed:
            raise StripeError(f"You cannot {doing} an invoice that has a status of {invoice.status}.")

    def _line(self, item: InvoiceItem) -> Line:
        return Line(
            id=self._account.new_id("il"),
            amount=item.amount,
            currency=item.currency,
            description=item.description,
            item=item.id,
        )


def open_invoices(account: Account, invoices: Invoices, count: int) -> list[str]:
    """So many invoices of seeded amounts, each with a card that pays; the ids."""
    made = []
    customers: list[Customer] = []
    for place in range(count):
        if place < MOST_CUSTOMERS:
            customer = Customer(id=account.new_id("cus"), created=account.now(), name=f"Customer {place + 1}")
            account.put(customer)
            account.emit("customer.created", customer, OTHER)
            customers.append(customer)
        customer = customers[place % MOST_CUSTOMERS]
        invoice = invoices.create(OTHER, customer=customer, currency="usd", payment_method="pm_card_visa")
        amount = account.random.randint(500, 50_000)
        invoices.add(OTHER, customer=customer, invoice=invoice, amount=amount, currency="usd")
        draft = account.find(account.invoices, invoice.id)
        made.append(invoices.finalize(draft, OTHER).id)
    return made
