"""One Item of the Plaid sandbox: its transactions as a log, and pages cut from that log."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from leaderjobs.sandbox.plaid.rows import Transaction, make_transaction, plaid_id, render_account

_SEAL_BYTES = 9


@dataclass(frozen=True, slots=True)
class Position:
    """What a cursor says: the update began at `first` with a log of `head` entries; `at` is to be read."""

    first: int
    at: int
    head: int


@dataclass(slots=True)
class Page:
    """What lies between two positions; rows are rendered JSON."""

    added: list[bytes] = field(default_factory=list)
    modified: list[bytes] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)
    end: int = 0

    @property
    def rows(self) -> int:
        """Rows and removals."""
        return len(self.added) + len(self.modified) + len(self.removed)


class Item:
    """A login at a bank. Not thread-safe: the sandbox holds its lock around every call."""

    def __init__(self, seed: str, *, transactions: int, accounts: int, row_bytes: int) -> None:
        """The same seed and sizes give the same Item, byte for byte."""
        self.seed = seed
        self.id = plaid_id(f"{seed}/item")
        self.institution = "ins_109508"
        self.login_required = False
        self._row_bytes = row_bytes
        self._random = random.Random(seed)
        self._account_ids = [plaid_id(f"{seed}/account/{number}") for number in range(accounts)]
        self.accounts = {
            identity: render_account(identity, number, self._random)
            for number, identity in enumerate(self._account_ids)
        }
        self._made = 0
        self._log: list[tuple[str, bytes | None]] = []
        self._born: dict[str, int] = {}
        self._latest: dict[str, int] = {}
        self._live: dict[str, Transaction] = {}
        self._account_of: dict[str, str] = {}
        self.add(transactions)

    def __len__(self) -> int:
        return len(self._live)

    @property
    def head(self) -> int:
        """How many entries the log holds."""
        return len(self._log)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Every transaction that exists now, by id; numbers as Decimal."""
        return {key: json.loads(raw, parse_float=Decimal) for key, raw in self._existing()}

    def rows_json(self) -> bytes:
        """The same as a JSON array, oldest change first."""
        return b"[" + b",".join(raw for _, raw in self._existing()) + b"]"

    def add(self, count: int) -> list[str]:
        """New transactions; their ids."""
        made = [
            make_transaction(self.seed, self._made + number, self._account_ids, self._random)
            for number in range(count)
        ]
        self._made += count
        return [self._write(transaction) for transaction in made]

    def modify(self, count: int) -> list[str]:
        """Other amounts for up to `count` transactions drawn at random; their ids."""
        return [self._write(self._live[key].modified(self._random)) for key in self._draw(count, self._live)]

    def remove(self, count: int) -> list[str]:
        """Drop up to `count` transactions drawn at random; their ids."""
        return [self._drop(key) for key in self._draw(count, self._live)]

    def post_pending(self, count: int) -> list[str]:
        """Post up to `count` pending transactions; the new ids.

        All removals come before the first posted row, so a page boundary is likely to fall between
        a pending transaction's end and its successor.
        """
        pending = [key for key, transaction in self._live.items() if transaction.pending]
        chosen = [self._live[key] for key in self._draw(count, pending)]
        for transaction in chosen:
            self._drop(transaction.id)
        return [self._write(found.posted(plaid_id(f"{found.id}/posted"))) for found in chosen]

    def page(self, position: Position, count: int) -> Page:
        """Up to `count` changes from a position on; an entry that a later one overtook is passed over."""
        page, at = Page(), position.at
        while at < len(self._log):
            key, row = self._log[at]
            if self._latest[key] == at:
                if page.rows == count:
                    break
                self._put(page, key, row, known=self._born[key] < position.first)
            at += 1
        page.end = at
        return page

    def seal(self, position: Position, *, again: bool = False) -> str:
        """A cursor: opaque, and of no use for another Item or after a change by hand.

        `again`: the same position, and another cursor.
        """
        text = f"{position.first}.{position.at}.{position.head}{'.' * again}".encode()
        return base64.b64encode(self._tag(text) + text).decode()

    def unseal(self, cursor: str) -> Position | None:
        """The position in a cursor of this Item, else None."""
        try:
            raw = base64.b64decode(cursor, validate=True)
        except (binascii.Error, ValueError):
            return None
        tag, text = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(tag, self._tag(text)):
            return None
        first, at, head = map(int, text.rstrip(b".").split(b"."))
        return Position(first, at, head)

    def _tag(self, text: bytes) -> bytes:
        return hmac.digest(self.id.encode(), text, hashlib.sha256)[:_SEAL_BYTES]

    def _existing(self) -> Iterable[tuple[str, bytes]]:
        for at, (key, row) in enumerate(self._log):
            if row is not None and self._latest[key] == at:
                yield key, row

    def _draw(self, count: int, among: Iterable[str]) -> list[str]:
        keys = list(among)
        return self._random.sample(keys, min(count, len(keys)))

    def _write(self, transaction: Transaction) -> str:
        key = transaction.id
        self._live[key] = transaction
        self._account_of[key] = transaction.account
        self._append(key, transaction.render(self._row_bytes))
        return key

    def _drop(self, key: str) -> str:
        del self._live[key]
        self._append(key, None)
        return key

    def _append(self, key: str, row: bytes | None) -> None:
        self._born.setdefault(key, len(self._log))
        self._latest[key] = len(self._log)
        self._log.append((key, row))

    def _put(self, page: Page, key: str, row: bytes | None, *, known: bool) -> None:
        if row is not None:
            (page.modified if known else page.added).append(row)
        elif known:
            removed = {"transaction_id": key, "account_id": self._account_of[key]}
            page.removed.append(json.dumps(removed).encode())
