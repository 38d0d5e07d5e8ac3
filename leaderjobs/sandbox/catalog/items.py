"""What a catalog holds: items that are added, changed and removed, each at an instant of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from leaderjobs import clock

AGE = timedelta(days=20)
"""How long ago the first item was made; the others that there are to begin with, a second later each."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ROUGH = Decimal("1E+400")


@dataclass(frozen=True, slots=True)
class Item:
    """One version of an item."""

    number: int
    updated: datetime
    price: Decimal
    name: str
    version: int = 1
    deleted: datetime | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Sorts as the items were made."""
        return f"item_{self.number:06d}"

    def row(self) -> dict[str, Any]:
        """As it is sent, and must arrive; decimals are Decimal."""
        return {
            "id": self.id,
            "serial": 10**19 + self.number,
            "name": self.name,
            "price": self.price,
            "weight": _ROUGH if self.number % 7 == 0 else Decimal("0.1"),
            "available": self.number % 3 == 0,
            "version": self.version,
            "updated_at": stamp(self.updated),
            "updated": int(self.updated.timestamp()),
            "updated_ms": int(self.updated.timestamp()) * 1000 + self.updated.microsecond // 1000,
            "deleted_at": None if self.deleted is None else stamp(self.deleted),
            "owner": {"name": f"owner {self.number % 5}", "id": self.number % 5},
            **self.more,
        }


class Items:
    """All of them, the removed ones too; not locked."""

    def __init__(self, seed: str, count: int) -> None:
        """`count` items to begin with; the seed decides what they are."""
        self._random = random.Random(seed)
        self._items: dict[str, Item] = {}
        self._last = clock.now() - AGE
        self.changes = 0
        self.add(count, apart=timedelta(seconds=1))

    def live(self) -> list[Item]:
        """Those that have not been removed, in the order of their ids."""
        return [item for item in self._items.values() if item.deleted is None]

    def all(self) -> list[Item]:
        """Also the removed ones."""
        return list(self._items.values())

    def add(self, count: int, *, apart: timedelta | None = None) -> list[str]:
        """New ones, now unless they shall be so far `apart`; their ids."""
        made = []
        for _ in range(count):
            number = len(self._items) + 1
            price = Decimal(self._random.randrange(10**17)) / 100
            item = Item(number, self._tick(apart), price, f"Item {number} {self._random.getrandbits(32):08x}")
            self._items[item.id] = item
            made.append(item.id)
        return made

    def modify(self, count: int) -> list[str]:
        """Change up to so many; their ids."""
        chosen = self._chosen(count)
        for item in chosen:
            price = item.price + Decimal("0.01")
            self._put(replace(item, version=item.version + 1, price=price, updated=self._tick()))
        return [item.id for item in chosen]

    def remove(self, count: int) -> list[str]:
        """Remove up to so many; their ids."""
        chosen = self._chosen(count)
        for item in chosen:
            instant = self._tick()
            self._put(replace(item, version=item.version + 1, updated=instant, deleted=instant))
        return [item.id for item in chosen]

    def drift(self, count: int) -> list[str]:
        """Give up to so many a member that nobody knew, and a price that is text."""
        chosen = self._chosen(count)
        for item in chosen:
            more = {"made_up": {"id": 12345678901234567890, "rate": Decimal("0.12345678901234567890")},
                    "available": "perhaps"}  # fmt: skip
            self._put(replace(item, more=more, version=item.version + 1, updated=self._tick()))
        return [item.id for item in chosen]

    def _put(self, item: Item) -> None:
        self._items[item.id] = item

    def _chosen(self, count: int) -> list[Item]:
        live = self.live()
        return self._random.sample(live, min(count, len(live)))

    def _tick(self, apart: timedelta | None = None) -> datetime:
        """An instant that no change had before."""
        self.changes += 1
        latest = self._last + (apart or timedelta(microseconds=1))
        self._last = latest if apart else max(latest, clock.now())
        return self._last


def stamp(instant: datetime) -> str:
    """As JSON has it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encoded(document: object) -> bytes:
    """JSON in which decimals are numbers."""
    return _ENCODER.encode(document)
