"""The lines of a tap, one message each; numbers are left as they stand."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import Any

import msgspec

from leaderjobs.errors import FatalError

DELETED_AT = "_sdc_deleted_at"
OWN_KEY = "_leaderjobs_id"
"""Member that is added to a record that has no key."""
_PASSING = (DELETED_AT, "_sdc_extracted_at", "_sdc_received_at", "_sdc_batched_at", "_sdc_sequence")
"""Members that are not part of what a record says."""
_SUSPECT = DELETED_AT.encode()
_SPEAKING = re.compile(rb'\s*\{\s*"type"\s*:\s*"[A-Z_]{1,30}"')


class Message(msgspec.Struct, gc=False):
    """One line; members that its type does not have are empty."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw()
    schema: msgspec.Raw = msgspec.Raw()
    key_properties: list[str] | None = None
    value: msgspec.Raw = msgspec.Raw()
    version: int | None = None


class _Deletion(msgspec.Struct):
    at: object = msgspec.field(name=DELETED_AT, default=None)


_MESSAGE = msgspec.json.Decoder(Message)
_DELETION = msgspec.json.Decoder(_Deletion)
_EXACT = msgspec.json.Decoder(float_hook=Decimal)


def parse(line: bytes, number: int) -> Message:
    """FatalError, which shows nothing of the data, for a line that is no message."""
    try:
        str(line, "utf-8")
        return _MESSAGE.decode(line)
    except msgspec.ValidationError:
        why = "is no Singer message"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # NaN and Infinity are what Python's own encoder makes of such numbers.
        why = "is not JSON (a print that should go to standard error, or a NaN)"
    found = _SPEAKING.match(line)
    begins = f"begins with {found[0].decode().strip()}" if found else "does not begin like a message"
    raise FatalError(f"line {number} of the tap's output {why}; it has {len(line)} bytes and {begins}")


def record_of(message: Message, number: int) -> bytes:
    """The record as it stands in the line; FatalError for one that is no object."""
    record = bytes(message.record)
    if not record.startswith(b"{"):
        raise FatalError(f"line {number} of the tap's output has a record that is no object")
    return record


def is_deletion(record: bytes) -> bool:
    """Whether the record says that it is gone at the source."""
    return _SUSPECT in record and _DELETION.decode(record).at is not None


def identity(record: bytes, key: tuple[str, ...]) -> object:
    """What tells the record from others; equal for equal keys."""
    row: dict[str, object] = _EXACT.decode(record)
    return tuple(str(row.get(name)) for name in key)


def with_own_key(record: bytes) -> bytes:
    """The record with a digest of what it says as a member, for a stream whose tap names no key.

    Two records that say the same are one row, however their members are ordered.
    """
    row: dict[str, Any] = _EXACT.decode(record)
    for name in _PASSING:
        row.pop(name, None)
    digest = hashlib.sha256(msgspec.json.encode(row, order="sorted")).hexdigest()
    rest = record[1:].lstrip()
    comma = b"" if rest.startswith(b"}") else b","
    return b'{"' + OWN_KEY.encode() + b'":"' + digest.encode() + b'"' + comma + rest
