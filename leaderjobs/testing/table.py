"""A stream's table in memory, moved only by whole batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from leaderjobs.connectors.base import Connector, ReadContext
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Stream
from leaderjobs.testing.context import Context

MOST_KEY_BYTES = 1000


@dataclass(frozen=True, slots=True)
class _Version:
    """What the table holds of a row; the order key of one that is gone is that of its deletion."""

    doc: dict[str, Any]
    order: int
    gone: bool = False


class Table:
    """A stream's table, its staged pages, what its walk has met, and its marker; one commit, one batch.

    AssertionError for a batch that is not what `Batch` promises, with the sentence of what is wrong.
    """

    def __init__(self, stream: Stream) -> None:
        """Empty, as before the first sync."""
        self.stream = stream
        self.sequence = 0
        self.cursor: Cursor | None = None
        self.staged: list[tuple[int, Batch]] = []
        self.met: set[str] = set()
        self.landings: list[Landing] = []
        self.received = 0
        """Rows and deletions over all batches."""
        self._versions: dict[str, _Version] = {}

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows that are not deleted, by id; numbers with a point are Decimal."""
        return {key: found.doc for key, found in self._versions.items() if not found.gone}

    @property
    def deleted(self) -> set[str]:
        """The ids of the rows that are."""
        return {key for key, found in self._versions.items() if found.gone}

    def commit(self, batch: Batch) -> None:
        """Land a batch and move the marker on by one."""
        self._check(batch)
        if batch.shape is not None:
            self.stream = batch.shape
        self.sequence += 1
        match batch.landing:
            case Landing.UPSERT:
                self._land(batch, self.sequence)
            case Landing.REPLACE:
                self._retire(batch, self._land(batch, self.sequence))
            case Landing.WALK:
                self.met |= self._land(batch, self.sequence)
            case Landing.SWEEP:
                self._retire(batch, self.met | self._land(batch, self.sequence))
                self.met.clear()
            case Landing.STAGE:
                self.staged.append((self.sequence, batch))
            case Landing.APPLY:
                held = {
                    key
                    for sequence, page in [*self.staged, (self.sequence, batch)]
                    for key in self._land(page, sequence)
                }
                if batch.scope is not None:
                    self._retire(batch, self.met | held)
                    self.met.clear()
                self.staged.clear()
            case Landing.RESTART:
                self.staged.clear()
                self.met.clear()
        self.landings.append(batch.landing)
        self.received += batch.rows
        # Through JSON, as a marker goes through the database.
        self.cursor = json.loads(json.dumps(batch.cursor))

    def take(self, batches: Iterable[Batch]) -> None:
        """Commit all of them, in order."""
        for batch in batches:
            self.commit(batch)

    def sync(self, connector: Connector, stream: str, context: ReadContext | None = None) -> None:
        """Read to the end from where the marker stands."""
        self.take(connector.read(stream, self.cursor, context or Context()))

    def reset(self) -> None:
        """Forget the marker as `leaderjobs reset` does: an empty cursor; the rows and the sequence stay."""
        self.cursor = {}
        self.staged.clear()
        self.met.clear()

    def _check(self, batch: Batch) -> None:
        assert batch.stream == self.stream.name, f"a batch of {batch.stream}, read as {self.stream.name}"
        assert batch.shape is None or batch.shape.name == self.stream.name, "shape: another stream's name"
        if batch.landing is Landing.RESTART:
            assert batch.rows == 0, "a RESTART brings no rows"
            return
        document = _parsed(batch)
        assert isinstance(document, dict), "the body is no JSON object"
        members = [*batch.upserts, *filter(None, [batch.deletes])]
        for name in members:
            assert isinstance(document.get(name), list), f"the body's {name} is no array"
        held = sum(len(document[name]) for name in members)
        assert batch.rows == held, f"the batch says {batch.rows} rows, its body holds {held}"
        for name in members if batch.ordered else ():
            orders = document.get(f"{name}_orders")
            assert isinstance(orders, list), f"the body has no array {name}_orders"
            assert len(orders) == len(document[name]), f"{name}_orders is not as long as {name}"
            assert all(type(order) is int for order in orders), f"{name}_orders holds no whole number"
        if batch.scope is not None:
            self._path_of(batch.scope[0])

    def _land(self, batch: Batch, sequence: int) -> set[str]:
        """Rows, then deletions; the ids of the rows that the batch holds."""
        document = _parsed(batch)
        held: set[str] = set()
        for row, order in _ordered(batch, document, batch.upserts, sequence):
            key = self._id_of(row)
            held.add(key)
            known = self._versions.get(key)
            if known is None or known.order <= order:
                self._versions[key] = _Version(row, order)
        deletions: dict[str, int] = {}
        for gone, order in _ordered(batch, document, (batch.deletes,) if batch.deletes else (), sequence):
            key = self._id_of(gone)
            deletions[key] = max(order, deletions.get(key, order))
        for key, order in deletions.items():
            self._drop(key, order)
        return held

    def _retire(self, batch: Batch, held: set[str]) -> None:
        """What a complete listing (of the scope) does not hold is gone, unless it is newer than that."""
        order = self.sequence if batch.order is None else batch.order
        for key, found in list(self._versions.items()):
            if key not in held and (batch.scope is None or self._within(batch.scope, found.doc)):
                self._drop(key, order)

    def _drop(self, key: str, order: int) -> None:
        known = self._versions.get(key)
        if known is not None and not known.gone and known.order <= order:
            self._versions[key] = _Version(known.doc, order, gone=True)

    def _within(self, scope: tuple[str, str], doc: dict[str, Any]) -> bool:
        found: object = doc
        for name in self._path_of(scope[0]):
            found = found.get(name) if isinstance(found, dict) else None
        return _text(found) == scope[1]

    def _path_of(self, name: str) -> tuple[str, ...]:
        for column in self.stream.columns:
            if column.name == name:
                assert column.indexed, f"scope: column {name} of {self.stream.name} has no index"
                return column.path
        raise AssertionError(f"scope: {self.stream.name} has no column {name}")

    def _id_of(self, row: object) -> str:
        assert isinstance(row, dict), f"a row of {self.stream.name} is no object"
        for name in self.stream.key:
            value = row.get(name)
            fits = (isinstance(value, str) and value != "") or type(value) is int
            assert fits, f"a row of {self.stream.name} has no {name} that is text or a whole number"
        key = self.stream.id_of(row)
        assert len(key.encode()) <= MOST_KEY_BYTES, f"a row of {self.stream.name} has an id of too many bytes"
        return key


def _parsed(batch: Batch) -> Any:  # noqa: ANN401 - a document of anyone's making
    return json.loads(batch.body, parse_float=Decimal)


def _ordered(
    batch: Batch, document: dict[str, Any], members: tuple[str, ...], sequence: int
) -> Iterator[tuple[dict[str, Any], int]]:
    """What the members hold, each with its order key, in the order of the body."""
    for name in members:
        rows = document[name]
        if batch.ordered:
            yield from zip(rows, document[f"{name}_orders"], strict=True)
        else:
            order = sequence if batch.order is None else batch.order
            yield from ((row, order) for row in rows)


def _text(value: object) -> str | None:
    """As Postgres reads a JSON value as text."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | Decimal():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)
