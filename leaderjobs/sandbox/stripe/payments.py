"""Payment intents, charges and refunds: the only place where money moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from leaderjobs.sandbox import book
from leaderjobs.sandbox.keyed import OTHER, Actor
from leaderjobs.sandbox.stripe.account import Account
from leaderjobs.sandbox.stripe.cards import AUTHENTICATION, GENERIC, Card
from leaderjobs.sandbox.stripe.cards import charge as charge_card
from leaderjobs.sandbox.stripe.errors import StripeError, declined, missing, unfit, wrong_state
from leaderjobs.sandbox.stripe.objects import Charge, ChargeStatus, Decline, Intent, Refund

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (*CONFIRMABLE, "requires_capture")


class Payments:
    """Acts on payment intents; `paid` hears of each that has succeeded, `failed` of each that has not."""

    def __init__(self, account: Account) -> None:
        """On this account's shelves."""
        self._account = account
        self.paid: Callable[[Intent, Actor], None] = _nothing
        self.failed: Callable[[Intent, Actor], None] = _nothing

    def create(
        self,
        actor: Actor,
        *,
        amount: int,
        currency: str,
        customer: str | None,
        payment_method: str | None,
        metadata: Mapping[str, str],
        description: str | None = None,
        capture_method: str = "automatic",
        invoice: str | None = None,
    ) -> Intent:
        """An intent that nobody has confirmed."""
        new = self._account.new_id("pi")
        intent = Intent(
            id=new,
            created=self._account.now(),
            amount=amount,
            currency=currency,
            status="requires_confirmation" if payment_method else "requires_payment_method",
            client_secret=f"{new}_secret_{self._account.new_id('s')}",
            customer=customer,
            payment_method=payment_method,
            description=description,
            metadata=metadata,
            capture_method=capture_method,
            invoice=invoice,
        )
        self._account.put(intent)
        self._account.emit("payment_intent.created", intent, actor)
        return intent

    def confirm(
        self, intent: Intent, actor: Actor, *, payment_method: str | None, off_session: bool, strict: bool
    ) -> Intent:
        """Charge the card; `strict` makes a card that needs its customer a failure.

        Raises StripeError where it comes to no charge; the intent's state then tells why.
        """
        if intent.status not in CONFIRMABLE:
            raise wrong_state(intent, "confirm", *CONFIRMABLE)
        method = payment_method or intent.payment_method
        if method is None:
            raise StripeError(
                "You cannot confirm this PaymentIntent because it's missing a payment method.",
                code="payment_intent_unexpected_state",
                intent=intent,
            )
        intent = replace(intent, payment_method=method, off_session=off_session, confirmed_by=actor)
        result = charge_card(method)
        if result is Card.NEEDS_CUSTOMER and (off_session or strict):
            result = AUTHENTICATION
        match result:
            case Decline():
                raise self._fail(intent, self._charge(intent, method, "failed", result), result, actor)
            case Card.NEEDS_CUSTOMER:
                return self._move(replace(intent, status="requires_action"), actor)
            case Card.TAKES_TIME:
                charge = self._charge(intent, method, "pending")
                self._account.put(charge)
                self._account.emit("charge.pending", charge, actor)
                return self._move(replace(intent, status="processing", latest_charge=charge.id), actor)
            case Card.PAYS:
                charge = self._charge(intent, method, "succeeded")
                if intent.capture_method == "manual":
                    self._account.put(charge)
                    self._account.emit("charge.succeeded", charge, actor)
                    held = replace(intent, status="requires_capture", latest_charge=charge.id)
                    return self._move(held, actor)
                return self._collect(intent, charge, charge.amount, actor, actor)

    def capture(self, intent: Intent, actor: Actor, amount: int | None) -> Intent:
        """Take what was held, or a part of it; the rest is let go."""
        charge = self._latest(intent)
        if intent.status != "requires_capture" or charge is None:
            raise wrong_state(intent, "capture", "requires_capture")
        wanted = intent.amount if amount is None else amount
        if wanted > intent.amount:
            text = f"The amount {wanted} is greater than the amount {intent.amount} that can be captured."
            raise StripeError(text, code="amount_too_large", param="amount_to_capture", intent=intent)
        return self._collect(intent, charge, wanted, actor, actor)

    def cancel(self, intent: Intent, actor: Actor, reason: str | None) -> Intent:
        """No charge will come of it any more."""
        if intent.status not in CANCELABLE:
            raise wrong_state(intent, "cancel", *CANCELABLE)
        return self._move(
            replace(
                intent,
                status="canceled",
                canceled_at=self._account.now(),
                cancellation_reason=reason,
            ),
            actor,
        )

    def settle(self, intent: Intent, *, succeeds: bool) -> Intent:
        """The bank has decided about an intent that is processing."""
        charge = self._latest(intent)
        if intent.status != "processing" or charge is None:
            raise ValueError(f"{intent.id} is {intent.status}, not processing")
        if succeeds:
            return self._collect(
                intent, replace(charge, status="succeeded"), charge.amount, intent.confirmed_by, OTHER
            )
        self._fail(intent, replace(charge, status="failed", failure=GENERIC), GENERIC, OTHER)
        return self._account.find(self._account.intents, intent.id)

    def refund(
        self,
        actor: Actor,
        *,
        intent: str | None,
        charge: str | None,
        amount: int | None,
        reason: str | None,
        metadata: Mapping[str, str],
    ) -> Refund:
        """Give money back, never more than came in."""
        paid = self._refundable(intent, charge)
        left = paid.amount_captured - paid.amount_refunded
        if left == 0:
            text = f"Charge {paid.id} has already been refunded."
            raise StripeError(text, code="charge_already_refunded", charge=paid)
        wanted = left if amount is None else amount
        if wanted > left:
            text = f"Refund amount ({_money(wanted)}) is greater than unrefunded amount ({_money(left)})"
            raise StripeError(text, param="amount", charge=paid)
        refund = Refund(
            id=self._account.new_id("re"),
            created=self._account.now(),
            amount=wanted,
            currency=paid.currency,
            charge=paid.id,
            payment_intent=paid.payment_intent,
            reason=reason,
            metadata=metadata,
        )
        self._account.book.enter(
            book.Refund(
                refund=refund.id,
                payment_intent=paid.payment_intent,
                charge=paid.id,
                amount=wanted,
                currency=paid.currency,
                metadata=metadata,
                idempotency_key=actor.idempotency_key,
                user_agent=actor.user_agent,
                by=actor.by,
            )
        )
        after = replace(paid, amount_refunded=paid.amount_refunded + wanted)
        self._account.put(refund)
        self._account.put(after)
        self._account.emit("refund.created", refund, actor)
        self._account.emit("charge.refunded", after, actor, {"amount_refunded": paid.amount_refunded})
        return refund

    def _collect(self, intent: Intent, charge: Charge, amount: int, payer: Actor, teller: Actor) -> Intent:
        """The money comes in: `payer` is whose doing it is, `teller` whose request the events name."""
        self._account.book.enter(
            book.Payment(
                payment_intent=intent.id,
                charge=charge.id,
                invoice=intent.invoice or intent.metadata.get("invoice"),
                amount=amount,
                currency=intent.currency,
                metadata=intent.metadata,
                idempotency_key=payer.idempotency_key,
                user_agent=payer.user_agent,
                by=payer.by,
            )
        )
        taken = replace(charge, captured=True, amount_captured=amount)
        self._account.put(taken)
        held = intent.status == "requires_capture"
        self._account.emit("charge.captured" if held else "charge.succeeded", taken, teller)
        done = replace(
            intent, status="succeeded", amount_received=amount, latest_charge=taken.id, last_error=None
        )
        done = self._move(done, teller)
        self.paid(done, teller)
        return done

    def _fail(self, intent: Intent, charge: Charge, why: Decline, actor: Actor) -> StripeError:
        """Leave the intent without its card, as Stripe does; the error to raise."""
        self._account.put(charge)
        self._account.emit("charge.failed", charge, actor)
        failed = replace(
            intent,
            status="requires_payment_method",
            payment_method=None,
            latest_charge=charge.id,
            last_error=why,
            error_method=charge.payment_method,
        )
        self._account.put(failed)
        self._account.emit("payment_intent.payment_failed", failed, actor)
        self.failed(failed, actor)
        return declined(why, failed, charge)

    def _move(self, intent: Intent, actor: Actor) -> Intent:
        self._account.put(intent)
        named = {"requires_capture": "amount_capturable_updated"}.get(intent.status, intent.status)
        self._account.emit(f"payment_intent.{named}", intent, actor)
        return intent

    def _charge(
        self, intent: Intent, method: str, status: ChargeStatus, failure: Decline | None = None
    ) -> Charge:
        """An attempt, which is not on its shelf yet."""
        return Charge(
            id=self._account.new_id("ch"),
            created=self._account.now(),
            amount=intent.amount,
            currency=intent.currency,
            status=status,
            payment_intent=intent.id,
            payment_method=method,
            customer=intent.customer,
            failure=failure,
            metadata=intent.metadata,
        )

    def _latest(self, intent: Intent) -> Charge | None:
        return None if intent.latest_charge is None else self._account.charges.get(intent.latest_charge)

    def _refundable(self, intent_id: str | None, charge_id: str | None) -> Charge:
        if (intent_id is None) == (charge_id is None):
            raise unfit(
                "One of the following params should be provided: payment_intent or charge.", None, "charge"
            )
        if intent_id is not None:
            intent = self._account.find(self._account.intents, intent_id, "payment_intent")
            charge = self._latest(intent)
            if intent.status != "succeeded" or charge is None:
                raise StripeError(
                    f"This PaymentIntent ({intent_id}) does not have a successful charge to refund."
                )
            return charge
        charge = self._account.charges.get(charge_id or "")
        if charge is None:
            raise missing("charge", charge_id or "", "charge")
        if charge.status != "succeeded" or not charge.captured:
            raise StripeError(
                f"Charge {charge.id} has not been paid, so it cannot be refunded.", charge=charge
            )
        return charge


def _nothing(_intent: Intent, _actor: Actor) -> None:
    """Nobody listens."""


def _money(amount: int) -> str:
    return f"${amount // 100}.{amount % 100:02d}"
