"""A provider and its connector in memory, right unless a bug is asked for: what the suite is tested with."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from leaderjobs.connectors.base import Connector, ReadContext
from leaderjobs.connectors.pacing import Paces
from leaderjobs.errors import FatalError, Interrupted, LeaderJobsError, RateLimited, TransientError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import Window
from leaderjobs.model.marker import Cursor
from leaderjobs.model.quota import Quota
from leaderjobs.model.stream import Column, ColumnType, Stream
from leaderjobs.testing import LEAST_PAGES, Can, Provider, Trouble

THINGS = Stream(
    "things",
    ("id",),
    "Things of a shop",
    (Column("price", ColumnType.NUMERIC, ("price",)), Column("at", ColumnType.TIMESTAMP, ("at",))),
    windowed=True,
)
PAGE = 10
DAY_ONE = datetime(2025, 1, 1, tzinfo=UTC)
QUOTA = Quota("made_up", 10**6, DAY_ONE)
SECRET = "s3cret-0123456789"
_RAISED: dict[Trouble, LeaderJobsError] = {
    Trouble.RATE_LIMITED: RateLimited("too many requests"),
    Trouble.SERVER_ERROR: TransientError("a server error"),
    Trouble.HTML: TransientError("not JSON"),
    Trouble.UNAVAILABLE: TransientError("unavailable"),
    Trouble.RESET: TransientError("reset"),
    Trouble.TRUNCATED: TransientError("cut off"),
    Trouble.REDIRECT: FatalError("a redirect"),
    Trouble.SHAPELESS: FatalError("out of contract"),
    Trouble.TOO_LARGE: FatalError("too large"),
}


class Shop:
    """Rows of text by id, listed in their order."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.made = 0
        self.requests = 0
        self.pages: list[tuple[str, int]] = []
        self.version = 0
        self.asked_twice = 0
        self.trouble: list[Trouble | None] = []
        self.lasting: Trouble | None = None

    def put(self, key: str, price: str, extra: str = "") -> None:
        day = (DAY_ONE + timedelta(days=int(key) % 10)).isoformat()
        self.rows[key] = f'{{"id":"{key}","price":{price},"at":"{day}"{extra}}}'
        self.version += 1

    def add(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            self.put(f"{self.made:05}", f"9007199254740993.{self.made:02}")

    def strike(self) -> Trouble | None:
        self.requests += 1
        return self.trouble.pop(0) if self.trouble else self.lasting

    def page(self, after: str) -> tuple[list[str], bool]:
        """The rows after an id, and whether there are more."""
        found = [row for key, row in sorted(self.rows.items()) if key > after]
        self.asked_twice += (after, self.version) in self.pages
        self.pages.append((after, self.version))
        return found[:PAGE], len(found) > PAGE


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """None."""


class MadeUp(Connector):
    """Walks through the shop; `bug` names what it does wrong."""

    name: ClassVar[str] = "made_up"
    settings = Settings
    streams = (THINGS,)

    def __init__(
        self, connection: str, options: Settings, paces: Paces, *, shop: Shop, bug: str = ""
    ) -> None:
        del connection, options, paces
        self._shop, self._bug = shop, bug
        self._closed = threading.Event()

    def __repr__(self) -> str:
        return f"MadeUp({SECRET if self._bug == 'secret in repr' else ''})"

    def check(self) -> None:
        for _ in range(2 if self._bug == "dear check" else 1):
            self._shop.strike()

    def close(self) -> None:
        if self._bug != "close does nothing":
            self._closed.set()

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        if stream != "things" and self._bug != "any stream":
            raise FatalError(f"made_up has no stream {stream!r}; it has things")
        after = dict(cursor or {}).get("after", "")
        if self._bug != "any cursor" and set(cursor or {}) - {"after"}:
            raise FatalError("the marker holds something else")
        if self._bug == "first page twice" and after:
            after = ""
        return self._pages(str(after), context)

    def _pages(self, after: str, context: ReadContext) -> Iterator[Batch]:
        more = True
        while more:
            trouble = self._ask(context)
            found, more = self._shop.page(after)
            last = json.loads(found[-1])["id"] if found else after
            if trouble is Trouble.DUPLICATE_ID and found:
                old = json.dumps(json.loads(found[0]) | {"price": 1})
                found = [*found, old] if self._bug == "older wins" else [old, *found]
            if trouble is Trouble.EMPTY_PAGE:
                found, last, more = [], after, self._bug != "empty is the end"
            if trouble is Trouble.EQUAL_TOKENS and self._bug != "endless":
                raise FatalError("the next page is this page")
            yield self._batch(found, last if more else "", context.window)
            after = _gap(last) if self._bug == "gap" else last

    def _ask(self, context: ReadContext) -> Trouble | None:
        if self._bug != "quota later":
            context.spend(QUOTA, 1)
        if self._bug != "no check":
            context.check()
        if self._closed.is_set():
            raise Interrupted("closed")
        trouble = self._shop.strike()
        if self._bug == "quota later":
            context.spend(QUOTA, 1)
        if self._bug == "log" and isinstance(context.log, object):
            context.log(f"token {SECRET}")
        if trouble is Trouble.HANG:
            self._closed.wait(6)
            context.check()
        if trouble in _RAISED:
            raise FatalError(SECRET) if self._bug == "secret in error" else _RAISED[trouble]
        return trouble

    def _batch(self, found: list[str], after: str, window: Window | None) -> Batch:
        if window is not None and self._bug != "window ignored":
            found = [row for row in found if _inside(json.loads(row), window)]
        body = "[" + ",".join(found) + "]"
        if self._bug == "float":
            body = json.dumps(json.loads(body))
        cursor: Cursor = {"after": after} if after else {}
        if self._bug == "secret in cursor":
            cursor = {**cursor, "after": after, "token": SECRET}
        if self._bug == "large cursor":
            cursor = {"after": after.rjust(2000)}
        rows = len(found) + (self._bug == "miscounted")
        landing = Landing.WALK if after else Landing.SWEEP
        if window is not None or self._bug == "never swept":
            landing = Landing.UPSERT
        return Batch("things", b'{"rows":' + body.encode() + b"}", ("rows",), None, cursor, landing, rows)


def _gap(after: str) -> str:
    return f"{int(after) + 1:05}"


def _inside(row: Mapping[str, Any], window: Window) -> bool:
    at = datetime.fromisoformat(row["at"])
    return (window.since or at) <= at < (window.until or at + timedelta(days=1))


class MadeUpProvider(Provider):
    """The shop as the suite wants it."""

    name = "made_up"
    stream = "things"
    can = frozenset(Can)
    numbers = ("9007199254740993.07", "12345678901234567890")
    secrets = (SECRET,)

    def __init__(self, bug: str = "") -> None:
        self.bug = bug
        self.shop = Shop()

    def start(self) -> None:
        self.shop.add(LEAST_PAGES * PAGE)

    def stop(self) -> None:
        """Nothing to stop."""

    def connect(self, **options: Any) -> Connector:
        return MadeUp("home", Settings(**options), Paces(), shop=self.shop, bug=self.bug)

    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        assert stream == self.stream
        return {key: json.loads(row, parse_float=Decimal) for key, row in self.shop.rows.items()}

    def add(self, count: int) -> None:
        self.shop.add(count)

    def modify(self, count: int) -> None:
        for key in list(self.shop.rows)[::2][:count]:
            self.shop.put(key, f"{self.shop.version}.25")

    def remove(self, count: int) -> None:
        for key in list(self.shop.rows)[1::3][:count]:
            del self.shop.rows[key]
            self.shop.version += 1

    def requests(self) -> Mapping[str, int]:
        return {"/things": self.shop.requests} if self.shop.requests else {}

    def trouble(self, kind: Trouble, *, skip: int = 0, count: int | None = None) -> None:
        passing: list[Trouble | None] = [None] * skip
        self.shop.trouble = passing + [kind] * (count or 0)
        self.shop.lasting = kind if count is None else None
        if count is None:
            self.shop.trouble = passing

    def calm(self) -> None:
        self.shop.trouble, self.shop.lasting = [], None

    def drift(self) -> None:
        for key in list(self.shop.rows)[1::9]:
            self.shop.put(key, '"free"', ',"made_up":12345678901234567890')

    def pages_asked_twice(self) -> int:
        return self.shop.asked_twice

    def window(self) -> Window:
        return Window(DAY_ONE + timedelta(days=2), DAY_ONE + timedelta(days=4))

    def inside(self, row: Mapping[str, Any]) -> bool:
        return _inside(row, self.window())
