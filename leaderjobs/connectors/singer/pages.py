"""From a tap's messages to batches, each with the state from which another run can go on.

The tap's STATE stands for the records before it, so a batch is the rows since the last STATE and that STATE.
Where a page is full before a STATE has come, its rows go with the state before: were the next one lost, they
would come again and land on themselves.

A *walk* is a listing of the whole table. Its rows are remembered as met, and what was not met when it ends
is gone at the source. There are two kinds:

- with a version in each record: rows of a version that is not the active one are a walk of that number. It
  goes on over several runs, for the tap's own state knows the version. ACTIVATE_VERSION ends it: at once
  where the tap replicates changes, of which more may follow; where it replicates the whole table, when the
  run has ended well. For taps send that message also before the first record, so that a first load is seen
  while it lasts (with us rows are seen anyway), and once for every part of the table.
- without: the records of a run in which the tap replicates the whole table. Nobody says from where such a tap
  goes on, so the marker keeps the state that the run began with until the run has ended well, and a run that
  comes after one that did not begins again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from leaderjobs.connectors.documents import table
from leaderjobs.connectors.singer.messages import (
    OWN_KEY,
    Message,
    identity,
    is_deletion,
    parse,
    record_of,
    with_own_key,
)
from leaderjobs.connectors.singer.settings import SingerSelection
from leaderjobs.connectors.singer.shape import key_of, shaped
from leaderjobs.errors import FatalError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Stream

MOST_PAGE_BYTES = 8 * 1024 * 1024
MOST_CURSOR_CHARS = 64 * 1024
"""As the store has it."""
NO_VERSION = 0
"""Number of a walk whose records have none."""
_EXACT = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream is: the tap's state, the version whose rows are the table, the walk under way."""

    state: bytes = b"null"
    """JSON, as the tap gave it."""
    version: int | None = None
    walk: int | None = None

    @classmethod
    def parse(cls, cursor: Cursor | None) -> Place:
        """From a marker's cursor; FatalError for one that this connector never wrote."""
        if not cursor:
            return cls()
        state, written = cursor.get("state"), cursor.get("state_json")
        match (written, cursor.get("version"), cursor.get("walk"), set(cursor) - _MEMBERS):
            case (None | str(), None | int() as version, None | int() as walk, rest) if not rest:
                body = msgspec.json.encode(state) if written is None else str(written).encode()
                return cls(body, version, walk)
        raise FatalError(
            f"the marker holds {sorted(cursor)}, not the state of a Singer tap; "
            "run the leaderjobs version that wrote it"
        )

    def cursor(self) -> Cursor:
        """For the marker: `state` as the tap gave it, or its text where a number has too many digits."""
        value = json.loads(self.state)
        try:
            exact = _EXACT.decode(json.dumps(value, allow_nan=False)) == _EXACT.decode(self.state)
        except ValueError:
            exact = False
        found: dict[str, object] = {"state": value} if exact else {"state_json": self.state.decode()}
        if self.version is not None:
            found["version"] = self.version
        if self.walk is not None:
            found["walk"] = self.walk
        return found

    @property
    def has_state(self) -> bool:
        """Whether there is something to tell the tap."""
        return self.state != b"null"


_MEMBERS = frozenset({"state", "state_json", "version", "walk"})


class Pages:
    """Collects the messages of one run for one stream; `names` are what they may call it."""

    def __init__(
        self,
        stream: Stream,
        names: frozenset[str],
        place: Place,
        *,
        full: bool,
        selection: SingerSelection,
        page_size: int,
    ) -> None:
        """`full`: the tap replicates the whole table each time."""
        self._stream = stream
        self._names = names
        self._full = full
        self._selection = selection
        self._page_size = page_size
        self._begun_with = place.state
        self._state = place.state
        self._committed = place.cursor()
        self._version = place.version
        self._walk = place.walk
        # Nobody knows what such a walk has met that is still there.
        self._stale = place.walk == NO_VERSION
        self._walked = False
        """Whether this run has brought a row of the walk."""
        self._active: int | None = None
        """The version that was activated, where that waits for the end of the run."""
        self._shape: Stream | None = None
        self._own_key = False
        self._rows: list[bytes] = []
        self._gone: list[bytes] = []
        self._gone_keys: set[object] = set()
        self._bytes = 0

    def feed(self, line: bytes, number: int) -> Iterator[Batch]:
        """What can be committed now that this line, the run's `number`-th, has come."""
        if not line.strip():
            return
        message = parse(line, number)
        match message.type:
            case "RECORD" if message.stream in self._names:
                yield from self._record(message, number)
            case "STATE":
                yield from self._new_state(bytes(message.value) or b"null")
            case "SCHEMA" if message.stream in self._names:
                yield from self._schema(message, number)
            case "ACTIVATE_VERSION" if message.stream in self._names:
                yield from self._activate(message.version)
            case "BATCH":
                raise FatalError(
                    "the tap sends files (BATCH messages), not records; take batch_config out of its config"
                )
            case _:
                pass  # Of another stream, or of a kind that says nothing to us.

    def finish(self) -> Iterator[Batch]:
        """What is left, once the tap has ended well."""
        # Where it has said nothing of the stream, there is nothing that was not met.
        if self._full and self._shape is not None:
            if not self._walked:
                known = (self._active, self._walk, NO_VERSION)
                yield from self._go_on(next(walk for walk in known if walk is not None))
            yield self._sweep(self._active)
            return
        if self._active is not None and self._active == self._walk:
            yield self._sweep(self._active)
            return
        # A version of which no row has come: what is there is left, for that is no word on it.
        self._version = self._version if self._active is None else self._active
        yield from self._flush(changed=self._place().cursor() != self._committed)

    def _schema(self, message: Message, number: int) -> Iterator[Batch]:
        try:
            schema = table(msgspec.json.decode(message.schema))
        except msgspec.DecodeError:
            raise FatalError(f"line {number} of the tap's output is a SCHEMA without a schema") from None
        named = self._selection.key or key_of(message.key_properties)
        key = named or (OWN_KEY,)
        shape = shaped(self._shape or self._stream, schema, key, self._selection.fields)
        if shape != self._shape:
            yield from self._flush()
            self._shape, self._own_key = shape, not named

    def _record(self, message: Message, number: int) -> Iterator[Batch]:
        if self._shape is None:
            raise FatalError(f"line {number} of the tap's output is a RECORD before its SCHEMA")
        yield from self._go_on(self._walk_of(message.version))
        record = record_of(message, number)
        gone = is_deletion(record)
        if self._own_key:
            record = with_own_key(record)
        if gone:
            self._gone.append(record)
            self._gone_keys.add(identity(record, self._shape.key))
        else:
            # In one batch a deletion wins over a row, but this row came after it.
            if self._gone_keys and identity(record, self._shape.key) in self._gone_keys:
                yield from self._flush()
            self._rows.append(record)
        self._walked = self._walked or self._walk is not None
        self._bytes += len(record)
        if len(self._rows) + len(self._gone) >= self._page_size or self._bytes >= MOST_PAGE_BYTES:
            yield from self._flush()

    def _new_state(self, state: bytes) -> Iterator[Batch]:
        self._state = state
        if len(json.dumps(self._place().cursor())) > MOST_CURSOR_CHARS:
            raise FatalError(
                f"the tap's state has {len(state)} bytes, and a marker takes {MOST_CURSOR_CHARS}"
            )
        # One without rows waits for the next rows, or for the end.
        yield from self._flush()

    def _walk_of(self, version: int | None) -> int | None:
        """The walk that a row with this version belongs to."""
        if self._full:
            return version or NO_VERSION
        return None if version == self._version else version

    def _go_on(self, walk: int | None) -> Iterator[Batch]:
        """Be in this walk, giving up another one that has not ended."""
        if walk is None or (walk == self._walk and not self._stale):
            return
        yield from self._flush()
        if self._walk is not None:
            self._walk = None
            yield self._batch(Landing.RESTART)
        self._walk, self._stale, self._walked = walk, False, False

    def _activate(self, version: int | None) -> Iterator[Batch]:
        if self._walked and not self._full and version == self._walk:
            yield self._sweep(version)
        elif version != self._version or self._full:
            self._active = version

    def _sweep(self, version: int | None) -> Batch:
        """The end of the walk, which makes `version` the active one."""
        self._version = self._walk or None if version is None else version
        self._walk, self._walked, self._active = None, False, None
        return self._batch(Landing.SWEEP)

    def _flush(self, *, changed: bool = False) -> Iterator[Batch]:
        if self._rows or self._gone or changed:
            yield self._batch(Landing.UPSERT if self._walk is None else Landing.WALK)

    def _batch(self, landing: Landing) -> Batch:
        rows, gone = b",".join(self._rows), b",".join(self._gone)
        count = len(self._rows) + len(self._gone)
        self._rows, self._gone, self._gone_keys, self._bytes = [], [], set(), 0
        self._committed = self._place().cursor()
        return Batch(
            stream=self._stream.name,
            body=b'{"rows":[' + rows + b'],"gone":[' + gone + b"]}",
            upserts=("rows",),
            deletes="gone",
            cursor=self._committed,
            landing=landing,
            rows=count,
            shape=self._shape,
        )

    def _place(self) -> Place:
        begins_again = self._walk == NO_VERSION
        return Place(self._begun_with if begins_again else self._state, self._version, self._walk)
