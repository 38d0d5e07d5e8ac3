"""Stripe's answers as rows: what a page holds, and what a page of events says about another stream's objects.

Rows are slices of the answer, never decoded and encoded again, so every number keeps its digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from leaderjobs import clock
from leaderjobs.connectors.outcome import NO_ANSWER, Answer
from leaderjobs.connectors.stripe.pull_source import Source
from leaderjobs.errors import FatalError, TransientError


class Row(msgspec.Struct, gc=False):
    """Of any object: what its place in a list is told by."""

    id: str
    created: int


class _Listed(msgspec.Struct):
    data: list[Row]
    has_more: bool


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Event(msgspec.Struct):
    type: str
    created: int
    data: _Data


class _Events(msgspec.Struct):
    data: list[_Event]


class _Subject(msgspec.Struct, gc=False):
    id: str = ""
    object: str = ""


class _Body(msgspec.Struct):
    """What a page of events becomes; the store reads `changed` and `gone`, each beside its order keys."""

    changed: list[msgspec.Raw]
    changed_orders: list[int]
    gone: list[dict[str, str]]
    gone_orders: list[int]

    @property
    def rows(self) -> int:
        return len(self.changed) + len(self.gone)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, newest first, and what the server's clock said when it was answered."""

    rows: list[Row]
    more: bool
    body: bytes
    now: int


def page_of(path: str, answer: Answer) -> Page:
    """What a 2xx answer holds; what is not JSON came from something in between, so nothing was answered."""
    try:
        str(answer.body, "utf-8")
        listed = msgspec.json.decode(answer.body, type=_Listed)
    except msgspec.ValidationError as error:
        raise FatalError(f"Stripe's answer to {path} is out of contract: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TransientError(f"{path} was answered with something that is not JSON", code=NO_ANSWER) from None
    if listed.has_more and not listed.data:
        raise TransientError(f"Stripe says that {path} goes on, but its page is empty", code=NO_ANSWER)
    return Page(listed.data, listed.has_more, answer.body, server_time(answer))


def server_time(answer: Answer) -> int:
    """Seconds since 1970 by the server's clock; by ours where it does not tell."""
    try:
        instant = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return int(clock.now().timestamp())
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())


def changes(source: Source, page: Page) -> tuple[bytes, int]:
    """The body of a batch with what a page of events says about a source's objects, and how many rows it has.

    Of several events of one object the newest counts, which is the first on the page. Events about other
    objects (`charge.*` is also about refunds) are left out.
    """
    try:
        events = msgspec.json.decode(page.body, type=_Events).data
        found = [(event, msgspec.json.decode(event.data.object, type=_Subject)) for event in events]
    except msgspec.ValidationError as error:
        raise FatalError(f"Stripe's answer to /v1/events is out of contract: {error}") from None
    body, seen = _Body([], [], [], []), set()
    for event, subject in found:
        if (
            subject.object != source.noun
            or not subject.id
            or event.type in source.skips
            or subject.id in seen
        ):
            continue
        seen.add(subject.id)
        if event.type in source.deletions:
            body.gone.append({"id": subject.id})
            body.gone_orders.append(event.created)
        else:
            body.changed.append(event.data.object)
            body.changed_orders.append(event.created)
    return msgspec.json.encode(body), body.rows
