"""Stripe's search language, as far as payment intents are looked for with it."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from leaderjobs.sandbox.stripe.errors import StripeError, unfit
from leaderjobs.sandbox.stripe.objects import Intent

MOST_CLAUSES = 10
_CLAUSE = re.compile(
    r"""\s*(?P<no>-?)(?:metadata\[(?P<q>["'])(?P<key>(?:\\.|(?!(?P=q)).)+)(?P=q)\]|(?P<field>[a-z_]+))"""
    r"""\s*(?P<op>:|<=|>=|<|>)\s*"""
    r"""(?:(?P<v>["'])(?P<text>(?:\\.|(?!(?P=v)).)*)(?P=v)|(?P<number>[0-9]{1,15})|(?P<null>null))\s*"""
)
_AND = re.compile(r"AND\s+", re.IGNORECASE)
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ":": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXTS: dict[str, Callable[[Intent], str | None]] = {
    "status": lambda intent: intent.status,
    "customer": lambda intent: intent.customer,
    "currency": lambda intent: intent.currency,
}
_NUMBERS: dict[str, Callable[[Intent], int]] = {
    "amount": lambda intent: intent.amount,
    "created": lambda intent: intent.created,
}
Clause = Callable[[Intent], bool]


def query(text: str) -> Clause:
    """What an intent must be to be found; Stripe's refusal for what is no query."""
    clauses: list[Clause] = []
    place = 0
    while True:
        match = _CLAUSE.match(text, place)
        if match is None or len(clauses) == MOST_CLAUSES:
            raise _unreadable(text)
        clauses.append(_negated(_clause(match, text)) if match["no"] else _clause(match, text))
        place = match.end()
        if place == len(text):
            return lambda intent: all(clause(intent) for clause in clauses)
        joined = _AND.match(text, place)
        if joined is None:
            raise _unreadable(text)
        place = joined.end()


def _clause(match: re.Match[str], text: str) -> Clause:
    compare = match["op"]
    if match["key"] is not None and compare == ":":
        key = _plain(match["key"])
        if match["null"]:
            return lambda intent: key not in intent.metadata
        if match["text"] is not None:
            value = _plain(match["text"])
            return lambda intent: intent.metadata.get(key) == value
    field = match["field"]
    if field in _TEXTS and compare == ":" and match["text"] is not None:
        wanted = _plain(match["text"])
        return lambda intent: _TEXTS[field](intent) == wanted
    if field in _NUMBERS and match["number"]:
        bound = int(match["number"])
        return lambda intent: _COMPARE[compare](_NUMBERS[field](intent), bound)
    raise _unreadable(text)


def _negated(clause: Clause) -> Clause:
    return lambda intent: not clause(intent)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _unreadable(text: str) -> StripeError:
    return unfit(f"We were unable to parse your search query: {text}", None, "query")
