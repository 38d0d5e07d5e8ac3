"""Stripe's endpoints: which parameters each takes, and what it does with them.

Every endpoint reads all of its parameters before it acts, so that a request that is unfit has no effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from leaderjobs.sandbox.keyed import Actor
from leaderjobs.sandbox.shelf import Row, Shelf
from leaderjobs.sandbox.stripe.account import Account
from leaderjobs.sandbox.stripe.cards import checked
from leaderjobs.sandbox.stripe.errors import StripeError
from leaderjobs.sandbox.stripe.forms import MOST_AMOUNT, Params
from leaderjobs.sandbox.stripe.invoices import Invoices, Pay
from leaderjobs.sandbox.stripe.objects import Customer, Invoice
from leaderjobs.sandbox.stripe.payments import Payments
from leaderjobs.sandbox.stripe.reads import Reads
from leaderjobs.sandbox.stripe.shapes import Json

LEAST_AMOUNT = 50
"""Cents; what Stripe charges at least."""
_REASONS = ("duplicate", "fraudulent", "requested_by_customer")
_CANCELLATIONS = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
_CAPTURES = ("automatic", "automatic_async", "manual")
_HARMLESS = (
    *(
        "allowed_payment_method_types",
        "automatic_payment_methods",
        "confirmation_method",
        "payment_method_types",
    ),
    *("receipt_email", "return_url", "setup_future_usage", "statement_descriptor", "use_stripe_sdk"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint."""

    id: str
    """The object that the path names, if it names one."""
    params: Params
    actor: Actor
    as_of: float | None
    searched: float | None
    """The instant up to which the search index has come."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint."""

    run: Callable[[Call], Row | Json]
    noun: str
    """What it answers with, or what there is on its pages."""
    paged: bool = False
    locks: tuple[str, ...] | None = None
    """Locks the path's object, or the first that these parameters name; None: locks nothing."""


class Calls:
    """The endpoints of one account, by method and path."""

    def __init__(self, account: Account, payments: Payments, invoices: Invoices, reads: Reads) -> None:
        """Nothing is asked for yet."""
        self._account, self._payments, self._invoices, self._reads = account, payments, invoices, reads
        self._routes = {**self._reading(), **self._writing()}

    def find(self, method: str, path: str) -> tuple[str, Route | None, str]:
        """The endpoint's name, the endpoint, and the id in the path."""
        parts = path.strip("/").split("/")
        names = [f"{method} {path}"]
        if len(parts) in {3, 4}:
            names.append(f"{method} /{'/'.join([*parts[:2], '{id}', *parts[3:]])}")
        for name in names:
            if name in self._routes:
                return name, self._routes[name], parts[2] if "{id}" in name else ""
        return "other", None, ""

    def _reading(self) -> dict[str, Route]:
        routes = {"GET /v1/balance": Route(self._balance, "balance")}
        for noun, shelf in _shelves(self._account):
            routes[f"GET {shelf.path}"] = Route(partial(self._list, shelf), noun, paged=True)
            routes[f"GET {shelf.path}/{{id}}"] = Route(partial(self._one, shelf), noun)
        routes["GET /v1/payment_intents/search"] = Route(self._search, "payment_intent", paged=True)
        return routes

    def _writing(self) -> dict[str, Route]:
        return {
            "POST /v1/customers": Route(self._create_customer, "customer"),
            "DELETE /v1/customers/{id}": Route(self._delete_customer, "customer"),
            "POST /v1/invoices": Route(self._create_invoice, "invoice"),
            "DELETE /v1/invoices/{id}": Route(self._delete_invoice, "invoice", locks=()),
            "POST /v1/invoices/{id}/finalize": Route(self._finalize, "invoice", locks=()),
            "POST /v1/invoices/{id}/pay": Route(self._pay, "invoice", locks=()),
            "POST /v1/invoices/{id}/void": Route(self._void, "invoice", locks=()),
            "POST /v1/invoices/{id}/mark_uncollectible": Route(self._give_up, "invoice", locks=()),
            "POST /v1/invoiceitems": Route(self._create_item, "invoiceitem", locks=("invoice",)),
            "POST /v1/payment_intents": Route(self._create_intent, "payment_intent"),
            "POST /v1/payment_intents/{id}/confirm": Route(self._confirm, "payment_intent", locks=()),
            "POST /v1/payment_intents/{id}/capture": Route(self._capture, "payment_intent", locks=()),
            "POST /v1/payment_intents/{id}/cancel": Route(self._cancel, "payment_intent", locks=()),
            "POST /v1/refunds": Route(self._refund, "refund", locks=("payment_intent", "charge")),
        }

    def _balance(self, call: Call) -> Json:
        call.params.done()
        return self._reads.balance()

    def _list(self, shelf: Shelf[Any], call: Call) -> Json:
        return self._reads.page(shelf, call.params, call.as_of)

    def _one(self, shelf: Shelf[Any], call: Call) -> Row:
        call.params.skip("client_secret")
        call.params.done()
        found: Row = self._reads.one(shelf, call.id, call.as_of)
        return found

    def _search(self, call: Call) -> Json:
        return self._reads.search(call.params, call.searched)

    def _create_customer(self, call: Call) -> Customer:
        params = call.params
        name, email, description = params.text("name"), params.text("email"), params.text("description")
        settings = params.group("invoice_settings")
        method = settings.text("default_payment_method")
        metadata = params.metadata()
        params.done()
        customer = Customer(
            id=self._account.new_id("cus"),
            created=self._account.now(),
            name=name,
            email=email,
            description=description,
            default_payment_method=checked(method) if method else None,
            metadata=metadata,
        )
        self._account.put(customer)
        self._account.emit("customer.created", customer, call.actor)
        return customer

    def _delete_customer(self, call: Call) -> Json:
        call.params.done()
        customer = self._account.find(self._account.customers, call.id)
        self._account.emit("customer.deleted", customer, call.actor)
        self._account.remove(customer)
        return {"id": customer.id, "object": "customer", "deleted": True}

    def _create_invoice(self, call: Call) -> Invoice:
        params = call.params
        customer_id = params.required("customer")
        currency = (params.text("currency") or "usd").lower()
        auto_advance = params.flag("auto_advance")
        collection = params.choice("collection_method", ("charge_automatically", "send_invoice"))
        method, description, metadata = (
            params.text("default_payment_method"),
            params.text("description"),
            params.metadata(),
        )
        pending = params.choice("pending_invoice_items_behavior", ("exclude", "include"))
        params.skip("days_until_due", "statement_descriptor", "footer")
        params.done()
        return self._invoices.create(
            call.actor,
            customer=self._account.find(self._account.customers, customer_id, "customer"),
            currency=currency,
            auto_advance=auto_advance,
            collection_method=collection or "charge_automatically",
            payment_method=checked(method) if method else None,
            description=description,
            metadata=metadata,
            take_pending=pending == "include",
        )

    def _delete_invoice(self, call: Call) -> Json:
        call.params.done()
        self._invoices.delete(self._invoice(call), call.actor)
        return {"id": call.id, "object": "invoice", "deleted": True}

    def _create_item(self, call: Call) -> Row:
        params = call.params
        customer, invoice = params.required("customer"), params.text("invoice")
        amount = params.present(params.integer("amount"), "amount")
        currency = (params.text("currency") or "usd").lower()
        description, metadata = params.text("description"), params.metadata()
        params.done()
        return self._invoices.add(
            call.actor,
            customer=self._account.find(self._account.customers, customer, "customer"),
            invoice=self._account.find(self._account.invoices, invoice, "invoice") if invoice else None,
            amount=amount,
            currency=currency,
            description=description,
            metadata=metadata,
        )

    def _finalize(self, call: Call) -> Invoice:
        given = call.params.peek("auto_advance") is not None
        auto_advance = call.params.flag("auto_advance")
        call.params.done()
        return self._invoices.finalize(
            self._invoice(call), call.actor, auto_advance=auto_advance if given else None
        )

    def _pay(self, call: Call) -> Invoice:
        params = call.params
        method = params.text("payment_method")
        how = Pay(
            payment_method=method,
            off_session=params.flag("off_session", default=True),
            out_of_band=params.flag("paid_out_of_band"),
        )
        params.skip("forgive")
        params.done()
        if method:
            checked(method)
        return self._invoices.pay(self._invoice(call), call.actor, how)

    def _void(self, call: Call) -> Invoice:
        call.params.done()
        return self._invoices.void(self._invoice(call), call.actor)

    def _give_up(self, call: Call) -> Invoice:
        call.params.done()
        return self._invoices.give_up(self._invoice(call), call.actor)

    def _create_intent(self, call: Call) -> Row:
        params = call.params
        amount = params.present(params.integer("amount", 1, MOST_AMOUNT), "amount")
        currency = params.required("currency").lower()
        customer, method, description, metadata = (
            params.text("customer"),
            params.text("payment_method"),
            params.text("description"),
            params.metadata(),
        )
        confirm, off_session = params.flag("confirm"), params.flag("off_session")
        strict = params.flag("error_on_requires_action")
        capture_method = params.choice("capture_method", _CAPTURES) or "automatic"
        params.skip(*_HARMLESS)
        params.done()
        if amount < LEAST_AMOUNT:
            text = f"Amount must be at least {LEAST_AMOUNT} {currency}."
            raise StripeError(text, code="amount_too_small", param="amount")
        if customer:
            self._account.find(self._account.customers, customer, "customer")
        intent = self._payments.create(
            call.actor,
            amount=amount,
            currency=currency,
            customer=customer,
            payment_method=checked(method) if method else None,
            metadata=metadata,
            description=description,
            capture_method=capture_method,
        )
        if not confirm:
            return intent
        return self._payments.confirm(
            intent, call.actor, payment_method=None, off_session=off_session, strict=strict
        )

    def _confirm(self, call: Call) -> Row:
        params = call.params
        method = params.text("payment_method")
        off_session, strict = params.flag("off_session"), params.flag("error_on_requires_action")
        params.skip(*_HARMLESS)
        params.done()
        return self._payments.confirm(
            self._account.find(self._account.intents, call.id),
            call.actor,
            payment_method=checked(method) if method else None,
            off_session=off_session,
            strict=strict,
        )

    def _capture(self, call: Call) -> Row:
        amount = call.params.integer("amount_to_capture", 1)
        call.params.done()
        return self._payments.capture(self._account.find(self._account.intents, call.id), call.actor, amount)

    def _cancel(self, call: Call) -> Row:
        reason = call.params.choice("cancellation_reason", _CANCELLATIONS)
        call.params.done()
        intent = self._account.find(self._account.intents, call.id)
        if intent.invoice is not None:
            text = "You cannot cancel PaymentIntents created by an invoice directly; void the invoice."
            raise StripeError(text, intent=intent)
        return self._payments.cancel(intent, call.actor, reason)

    def _refund(self, call: Call) -> Row:
        params = call.params
        intent, charge = params.text("payment_intent"), params.text("charge")
        amount, reason = params.integer("amount", 1), params.choice("reason", _REASONS)
        metadata = params.metadata()
        params.done()
        return self._payments.refund(
            call.actor, intent=intent, charge=charge, amount=amount, reason=reason, metadata=metadata
        )

    def _invoice(self, call: Call) -> Invoice:
        return self._account.find(self._account.invoices, call.id)


def _shelves(account: Account) -> list[tuple[str, Shelf[Any]]]:
    """What can be listed, with the name of what is on the pages."""
    return [(shelf.noun, shelf) for shelf in account.shelves.values()]
