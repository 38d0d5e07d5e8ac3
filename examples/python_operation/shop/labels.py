"""Shipping labels from a carrier that knows no idempotency keys: asked twice, it prints and bills two.

What it has is a list that can be asked for a reference, and its word that a request which it has not answered
within 30 seconds was dropped. That is enough for "once": look first, and where nothing is there long after
the last send, send again.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import msgspec

from leaderjobs.connectors.base import Arguments, Ask, Operation
from leaderjobs.connectors.outcome import Answer
from leaderjobs.errors import UsageError
from leaderjobs.model.effect import Effect, Request, Told, Verdict
from leaderjobs.model.settle import Rules

HEAVIEST = 31_500
TARIFF = ((500, 279), (2_000, 449), (5_000, 699), (HEAVIEST, 1_899))
"""Up to so many grams, so many cents."""


class Label(msgspec.Struct):
    """What the carrier says of a label; decoding it proves that it is one."""

    id: str
    reference: str
    cents: int
    status: str


class Labels(msgspec.Struct):
    """The carrier's list."""

    data: list[Label]
    has_more: bool


class CreateLabel(Operation):
    """One label for one parcel of one order, at the tariff's price for its weight."""

    # No keys; and five minutes is ten times as long as the carrier says that a request can be on its way.
    rules = Rules(replay_window=None, looks_up=True, absent_after=timedelta(minutes=5))

    def parse(self, given: Arguments) -> Arguments:
        """Values from a command line are text; equal wishes must become equal values."""
        if set(given) != {"order", "parcel", "grams"}:
            raise UsageError("create_label takes order=…, parcel=… and grams=…, and nothing else")
        order, parcel, grams = (str(given[name]) for name in ("order", "parcel", "grams"))
        if not (order.isascii() and order.isalnum() and len(order) <= 20):
            raise UsageError(f"order = {order!r}: allowed: up to 20 letters and digits")
        if not (parcel.isdecimal() and 1 <= int(parcel) <= 99):
            raise UsageError(f"parcel = {parcel!r}: allowed: 1 to 99")
        if not (grams.isdecimal() and len(grams) <= 5 and 1 <= int(grams) <= HEAVIEST):
            raise UsageError(f"grams = {grams!r}: allowed: 1 to {HEAVIEST}")
        return {"order": order, "parcel": int(parcel), "grams": int(grams)}

    def business_key(self, arguments: Arguments) -> str:
        """The weight is not part of it: a parcel that was weighed twice still gets one label."""
        return f"label:{_reference(arguments)}"

    def build(self, arguments: Arguments, idempotency_key: str) -> Request:
        """The key goes along for whoever reads the carrier's log; the carrier itself ignores it."""
        body = {"reference": _reference(arguments), "cents": _cents(arguments), "note": idempotency_key}
        return Request("POST", "/orders", msgspec.json.encode(body), {"Content-Type": "application/json"})

    def classify(self, answer: Answer) -> Verdict:
        """Only an answer that says so means yes, and only one that says so means no."""
        match answer.status:
            case 201:
                return self._told(answer, Told.DONE)
            case 401 | 403:
                return Verdict(Told.REFUSED, "credentials", "the carrier refuses our token", hold=True)
            case 429:
                return Verdict(Told.REFUSED, "busy", "too many requests", retry_after=answer.retry_after)
            case 400 | 422:
                return Verdict(Told.DECLINED, "invalid", "the carrier refuses such a label")
            case status:
                return Verdict(Told.UNKNOWN, f"http_{status}", "that does not tell whether it was printed")

    def look_up(self, effect: Effect, ask: Ask) -> Verdict:
        """Under its reference, and at its price; what is no list is no answer, and never "there is none"."""
        reference = _reference(effect.arguments)
        answer = ask(Request("GET", f"/orders?reference={quote(reference, safe='')}"))
        try:
            found = msgspec.json.decode(answer.body, type=Labels) if answer.status == 200 else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        if found is None or found.has_more:
            return Verdict(Told.UNAVAILABLE, f"http_{answer.status}", "the carrier did not show its list")
        ours = [label for label in found.data if label.reference == reference]
        if not ours:
            return Verdict(Told.OPEN, message=f"there is no label {reference}")
        if not effect.sends and ours[0].cents != _cents(effect.arguments):
            why = f"label {reference} is there already, for {ours[0].cents} cents"
            return Verdict(Told.DECLINED, "other_price", why, remote_id=ours[0].id)
        return self._verdict(ours[0])

    def _told(self, answer: Answer, told: Told) -> Verdict:
        try:
            return self._verdict(msgspec.json.decode(answer.body, type=Label), told)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Verdict(Told.UNKNOWN, "no_label", "the answer holds no label")

    @staticmethod
    def _verdict(label: Label, told: Told = Told.DONE) -> Verdict:
        return Verdict(told, message=f"label {label.id}", remote_id=label.id, facts={"cents": label.cents})


def _reference(arguments: Arguments) -> str:
    return f"{arguments['order']}-{arguments['parcel']}"


def _cents(arguments: Arguments) -> int:
    """Where a declaration ends and Python begins: no template looks a price up."""
    grams = int(str(arguments["grams"]))
    return next(cents for heaviest, cents in TARIFF if grams <= heaviest)
