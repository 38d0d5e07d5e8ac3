"""The same rows as everybody takes them: pages as the provider sends them, lines of COPY, lines of a tap."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from leaderjobs.demo.rig import SYNC, Rig

PAGE = 500
COPY = "COPY plaid.transactions (cluster, connection, id, doc, ord, synced_at) FROM STDIN"
COPY_BYTES = 64 * 1024
STREAM = "transactions"
KEY = "transaction_id"
_ESCAPED = re.compile(rb"[\\\t\n\r]")
_ESCAPES = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
# What a tap of Plaid would tell of its rows.
_TEXT = {"type": ["null", "string"]}
_DATE = {**_TEXT, "format": "date"}
_INSTANT = {**_TEXT, "format": "date-time"}
_OBJECT = {"type": ["null", "object"], "additionalProperties": True, "properties": {}}
_PROPERTIES = {
    KEY: {"type": "string"},
    "amount": {"type": ["null", "number"]},
    "pending": {"type": ["null", "boolean"]},
    **dict.fromkeys(("date", "authorized_date"), _DATE),
    **dict.fromkeys(("datetime", "authorized_datetime"), _INSTANT),
    **dict.fromkeys(("location", "payment_meta", "personal_finance_category"), _OBJECT),
    "counterparties": {"type": ["null", "array"], "items": {**_OBJECT, "type": "object"}},
    **dict.fromkeys(
        (
            *("account_id", "account_owner", "iso_currency_code", "unofficial_currency_code", "check_number"),
            *("name", "merchant_name", "merchant_entity_id", "website", "payment_channel"),
            *("pending_transaction_id", "transaction_code", "transaction_type", "original_description"),
        ),
        _TEXT,
    ),
}


class _Page(msgspec.Struct):
    added: list[msgspec.Raw]
    next_cursor: str
    has_more: bool


class _Row(msgspec.Struct):
    transaction_id: str


@dataclass
class Material:
    """The provider's pages, and the same rows as COPY and as a Singer target take them."""

    pages: list[bytes] = field(default_factory=list)
    copy: list[bytes] = field(default_factory=list)
    rows: int = 0

    def write_pages(self, path: Path) -> None:
        """One page a line."""
        path.write_bytes(b"".join(body + b"\n" for body in self.pages))

    def write_records(self, path: Path) -> None:
        """A SCHEMA line, then a RECORD line for each row."""
        schema = {"type": "object", "properties": _PROPERTIES}
        head = {"type": "SCHEMA", "stream": STREAM, "key_properties": [KEY], "schema": schema}
        with path.open("wb") as lines:
            lines.write(json.dumps(head).encode() + b"\n")
            for body in self.pages:
                for row in msgspec.json.decode(body, type=_Page).added:
                    lines.write(b'{"type":"RECORD","stream":"transactions","record":' + bytes(row) + b"}\n")


def fetched(rig: Rig) -> Material:
    """Everything that the provider has, page by page, byte for byte."""
    found, cursor, more = Material(), "", True
    lines: list[bytes] = []
    while more:
        asked = {
            "access_token": rig.provider.access_token,
            "count": PAGE,
            **({"cursor": cursor} if cursor else {}),
        }
        request = urllib.request.Request(
            f"{rig.provider.url}/transactions/sync",
            data=json.dumps(asked).encode(),
            headers={
                "Content-Type": "application/json",
                "PLAID-CLIENT-ID": rig.provider.client_id,
                "PLAID-SECRET": rig.provider.secret,
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
        page = msgspec.json.decode(body, type=_Page)
        found.pages.append(body)
        lines += [_copy_line(bytes(row)) for row in page.added]
        cursor, more = page.next_cursor, page.has_more
    found.rows = len(lines)
    ready = b"".join(lines)
    found.copy = [ready[at : at + COPY_BYTES] for at in range(0, len(ready), COPY_BYTES)]
    return found


def _copy_line(row: bytes) -> bytes:
    key = msgspec.json.decode(row, type=_Row).transaction_id
    doc = _ESCAPED.sub(lambda found: _ESCAPES[found[0]], row)
    return b"\t".join((b"bench", SYNC.encode(), key.encode(), doc, b"1", b"2026-01-01 00:00:00+00")) + b"\n"
