"""What Stripe's operations share: how arguments are read, requests written and objects told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar
from urllib.parse import urlencode

from leaderjobs.connectors import forms
from leaderjobs.connectors.arguments import Reader, matching, read, within
from leaderjobs.connectors.base import Arguments, Operation
from leaderjobs.connectors.documents import at, rows, text, whole
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.stripe.errors import MISSING, object_in, refusal, unavailable, verdict
from leaderjobs.model.effect import Effect, Request, Told, Verdict
from leaderjobs.model.settle import Rules, open_sends

API_VERSION = "2026-10-28.endive"
MOST_AMOUNT = 999_999_999_999
# Stripe forgets a key after 24 hours at the earliest; the hour is for a request that is on its way.
RULES = Rules(replay_window=timedelta(hours=23), looks_up=True)
WAITS = "the customer has to act before it can be paid"
FAILED = "Stripe had accepted it, and the payment has failed since"
_FACTS = ("status", "amount", "amount_paid", "amount_received", "currency")


def an_id(*prefixes: str) -> Reader:
    """An id of one of these kinds."""
    pattern = re.compile(rf"(?:{'|'.join(prefixes)})_[A-Za-z0-9_]{{1,100}}")
    return matching(pattern, f"an id such as {prefixes[0]}_123")


AMOUNT = within(1, MOST_AMOUNT)
PAYMENT_METHOD = an_id("pm", "card", "src", "ba")
_CURRENCY = matching(re.compile(r"[A-Za-z]{3}"), "a currency of three letters, such as usd")


def currency(value: object) -> object:
    """In lower case, as Stripe writes it."""
    return str(_CURRENCY(value)).lower()


class StripeOperation(Operation):
    """Reads arguments and answers; `timeout` is the connection's."""

    rules = RULES
    readers: ClassVar[Mapping[str, Reader]]
    required: ClassVar[Sequence[str]]
    states: ClassVar[Mapping[str, Told]]

    def __init__(self, timeout: timedelta) -> None:
        """Stateless."""
        self.timeout = timeout

    def parse(self, given: Arguments) -> Arguments:
        """As the contract says; amounts are whole numbers of the smallest unit, such as cents."""
        return read(self.name, given, self.readers, self.required)

    def classify(self, answer: Answer) -> Verdict:
        """By the object's own status where there is one, else by `errors`."""
        if not 200 <= answer.status < 300:
            return refusal(answer)
        found = object_in(answer)
        told = self.status(found) if isinstance(found.get("id"), str) else None
        if told is None:
            return verdict(answer, Told.UNKNOWN, "unexpected", "the answer does not tell what became of it")
        return self.told(answer, told, found)

    def status(self, found: Mapping[str, object]) -> Told | None:
        """What the object's status means right after a send; None for one that is not among `states`."""
        status = found.get("status")
        return self.states.get(status) if isinstance(status, str) else None

    def told(self, answer: Answer, told: Told, found: Mapping[str, object]) -> Verdict:
        """A verdict on the object."""
        return of_object(answer, told, "", found)


def post(path: str, fields: Mapping[str, object], idempotency_key: str) -> Request:
    """Its version of the API is kept with it: another one could read the same bytes in another way."""
    headers = {
        "Content-Type": forms.CONTENT_TYPE,
        "Idempotency-Key": idempotency_key,
        "Stripe-Version": API_VERSION,
    }
    return Request("POST", path, forms.encoded(fields), headers)


def get(path: str, query: Sequence[tuple[str, str]] = ()) -> Request:
    """A request that changes nothing."""
    return Request("GET", f"{path}?{urlencode(query)}" if query else path)


def accepted(effect: Effect) -> bool:
    """Whether Stripe has once said that it has taken a send of ours up."""
    return any(send.told is Told.PENDING for send in effect.sends)


def gone(answer: Answer, effect: Effect) -> Verdict:
    """There is no such object: nothing can come of it, unless a send is on its way that knew better."""
    told = Told.OPEN if open_sends(effect.sends) else Told.DECLINED
    return verdict(answer, told, MISSING, "Stripe has no such object in this account")


def unlike(effect: Effect, answer: Answer, found: Mapping[str, object], member: str) -> Verdict | None:
    """The refusal of something that is not what the caller believes it to be; None: it is."""
    there: dict[str, object] = {"amount": whole(found.get(member)), "currency": text(found.get("currency"))}
    wanted = {name: effect.arguments[name] for name in there if name in effect.arguments}
    other = next((name for name, value in wanted.items() if value != there[name]), None)
    if other is None:
        return None
    if there["amount"] is None or not there["currency"]:
        return unavailable(answer)
    asked = {**there, **wanted}
    why = f"asked for {asked['amount']} {asked['currency']}, but it is {there['amount']} {there['currency']}"
    return of_object(answer, Told.DECLINED, f"{other}_mismatch", found, why)


def of_object(
    answer: Answer, told: Told, code: str, found: Mapping[str, object], message: str = ""
) -> Verdict:
    """A verdict on an object, with what of it is worth keeping."""
    facts = {name: text(found[name]) or whole(found[name]) for name in _FACTS if found.get(name) is not None}
    paid = [row for row in rows(at(found, "payments.data")) if at(row, "status") == "paid"]
    intent = at(paid[0], "payment.payment_intent") if paid else None
    own = text(found.get("id"))
    remote_id = text(at(intent, "id")) or text(intent) or own
    message = message or f"{own} is {text(found.get('status'))}"
    return verdict(answer, told, code, message, remote_id=remote_id, facts=facts)
