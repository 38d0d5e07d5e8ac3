"""The rows of an answer: found, completed, and proved to have their keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from leaderjobs.connectors.documents import scalar
from leaderjobs.connectors.rest import records
from leaderjobs.connectors.rest.client import Told
from leaderjobs.connectors.rest.stream_settings import RestStreamSettings
from leaderjobs.connectors.rest.times import Form, Value
from leaderjobs.connectors.templates import Template
from leaderjobs.connectors.templates import Value as Filled
from leaderjobs.errors import FatalError

OUT_OF_CONTRACT = "out_of_contract"
ROWS, GONE = "rows", "gone"


@dataclass(frozen=True, slots=True)
class Landed:
    """A page as `Batch` wants it."""

    body: bytes
    upserts: str
    deletes: str | None
    rows: int


NOTHING = Landed(records.body_of(rows=[]), ROWS, None, 0)


class Rows:
    """Of one stream."""

    def __init__(self, stream: str, declared: RestStreamSettings) -> None:
        """What is declared says where everything is."""
        self._stream = stream
        self._declared = declared
        self._keys = _decoder(declared.keys)
        incremental = declared.incremental
        self._form = None if incremental is None else Form(incremental.row_format or incremental.format)

    def of(self, told: Told, values: Mapping[str, Filled]) -> list[Raw]:
        """The records of an answer, with what the declaration adds; FatalError where one has no key."""
        declared = self._declared
        if told.document is None:
            return []
        try:
            found = records.selected(told.document, declared.records)
        except records.Missing:
            if declared.missing == "empty":
                return []
            raise self._refused(f"the answer has no {declared.records}") from None
        except records.Misfit:
            raise self._refused(f"{declared.records or 'the answer'} is no list of objects") from None
        if declared.add:
            members = {name: Template(text).value(values) for name, text in declared.add.items()}
            found = [records.with_members(record, members) for record in found]
        for record in found:
            self._key(record)
        return found

    def landed(self, told: Told, rows: list[Raw]) -> Landed:
        """What is handed to the table: where nothing was done to the rows, the body as it came."""
        declared = self._declared
        if declared.deleted is not None:
            # A later version of a row wins, also over one that says that it is gone.
            latest = {self._key(row): row for row in rows}.values()
            gone = [row for row in latest if self.is_gone(row)]
            live = [row for row in latest if not self.is_gone(row)]
            return Landed(records.body_of(**{ROWS: live, GONE: gone}), ROWS, GONE, len(live) + len(gone))
        if rows and not declared.add and declared.records and "." not in declared.records:
            found = None if told.document is None else records.inner(told.document, declared.records)
            if found is not None and bytes(memoryview(found)[:1]) == b"[":
                return Landed(told.body, declared.records, None, len(rows))
        return Landed(records.body_of(**{ROWS: rows}), ROWS, None, len(rows))

    def is_gone(self, row: Raw) -> bool:
        """Whether the row says that it is gone."""
        deleted = self._declared.deleted
        if deleted is None:
            return False
        found = records.value(row, deleted.member)
        if not deleted.values:
            return found is not None and found is not False
        return scalar(found) in deleted.values

    def values(self, rows: Iterable[Raw]) -> list[Value]:
        """The incremental values, of the rows that have one."""
        incremental, form = self._declared.incremental, self._form
        found: list[Value] = []
        if incremental is None or form is None:
            return found
        for row in rows:
            value = records.value(row, incremental.cursor)
            if value is None:
                continue
            try:
                found.append(form.read(value))
            except ValueError as error:
                raise self._refused(f"{incremental.cursor} of a row is not {error}") from None
        return found

    def highest(self, values: Iterable[Value], so_far: Value | None = None) -> Value | None:
        """The highest of them."""
        for value in values:
            so_far = value if so_far is None else self.higher(so_far, value)
        return so_far

    def higher(self, one: Value, other: Value) -> Value:
        """The higher of two values."""
        if isinstance(one, datetime) and isinstance(other, datetime):
            return max(one, other)
        if isinstance(one, int) and isinstance(other, int):
            return max(one, other)
        if isinstance(one, str) and isinstance(other, str):
            return max(one, other)
        raise self._refused("the incremental value is text in one row and a number in another")

    def print(self, row: Raw) -> str:
        """Tells a row from the others of a page."""
        return print_of(msgspec.json.encode(self._key(row)))

    def _key(self, row: Raw) -> tuple[object, ...]:
        try:
            found = msgspec.structs.astuple(self._keys.decode(row))
        except msgspec.ValidationError:
            found = ()
        if not found or "" in found:
            names = " and ".join(self._declared.keys)
            raise self._refused(f"a row has no {names} that is a text or a whole number")
        return found

    def _refused(self, why: str) -> FatalError:
        return FatalError(f"stream {self._stream}: {why}", code=OUT_OF_CONTRACT)


def print_of(text: bytes) -> str:
    """Short, and the same for the same bytes only."""
    return hashlib.blake2s(text, digest_size=6).hexdigest()


def _decoder(keys: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Reads the members of a key and nothing else."""
    fields = [(f"key{place}", str | int) for place in range(len(keys))]
    names = {f"key{place}": name for place, name in enumerate(keys)}
    return msgspec.json.Decoder(msgspec.defstruct("Key", fields, rename=names))
