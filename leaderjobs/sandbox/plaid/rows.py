"""What the sandbox's transactions and accounts look like: the members of the specification, rendered once.

A row is bytes from the start, because serving a hundred thousand rows must not be slower than storing
them. Amounts are written digit by digit: some have more digits than a float holds, so that a float
anywhere on the way shows.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

_FIRST_DAY = date(2025, 1, 1)
_DAYS = 720
_PENDING_ONE_IN = 25
_HUGE_ONE_IN = 997
_HUGE_CENTS = 9_007_199_254_740_993
"""2**53 + 1: as euros and cents, no float holds it."""
_TWIN_ONE_IN = 500

_MERCHANTS: tuple[tuple[str, str, str, str], ...] = (
    ("Walmart", "walmart.com", "GENERAL_MERCHANDISE", "GENERAL_MERCHANDISE_SUPERSTORES"),
    ("Burger King", "burgerking.com", "FOOD_AND_DRINK", "FOOD_AND_DRINK_FAST_FOOD"),
    ('Café "Zürich" & Söhne', "cafe.example", "FOOD_AND_DRINK", "FOOD_AND_DRINK_COFFEE"),
    ("O'Reilly\\Parts", "parts.example", "TRANSPORTATION", "TRANSPORTATION_OTHER_TRANSPORTATION"),
    ("ラーメン横丁 🍜", "ramen.example", "FOOD_AND_DRINK", "FOOD_AND_DRINK_RESTAURANT"),
    ("Landlord LLC", "landlord.example", "RENT_AND_UTILITIES", "RENT_AND_UTILITIES_RENT"),
    ("Payroll Inc", "payroll.example", "INCOME", "INCOME_WAGES"),
)


def plaid_id(seed: str) -> str:
    """An id as Plaid's look: 37 letters and digits, and case matters."""
    digest = hashlib.blake2b(seed.encode(), digest_size=30).digest()
    return base64.b64encode(digest, altchars=b"Zz").decode()[:37]


def digits(cents: int) -> str:
    """Money as a JSON number, without a float and without trailing zeros (72.1, 0.05, -3)."""
    sign, whole, part = "-" if cents < 0 else "", abs(cents) // 100, abs(cents) % 100
    return f"{sign}{whole}" + (f".{part:02}".rstrip("0") if part else "")


@dataclass(frozen=True, slots=True)
class Transaction:
    """The little that tells one transaction from the next; the rest of a row is made from it."""

    id: str
    account: str
    cents: int
    day: int
    merchant: int
    pending: bool = False
    pending_id: str | None = None
    version: int = 0

    def modified(self, rng: random.Random) -> Transaction:
        """The same transaction after the bank has changed its mind."""
        return replace(self, cents=self.cents + rng.randrange(1, 10_000), version=self.version + 1)

    def posted(self, new_id: str) -> Transaction:
        """The transaction that takes a pending one's place."""
        return replace(self, id=new_id, pending=False, pending_id=self.id, day=self.day + 1)

    def render(self, size: int) -> bytes:
        """The row, filled up to `size` bytes where it is shorter."""
        return _fill(_TEMPLATE % self._values(), size)

    def _values(self) -> dict[bytes, bytes]:
        name, website, primary, detailed = _RENDERED[self.merchant]
        day = (_FIRST_DAY + timedelta(days=self.day)).isoformat().encode()
        return {
            b"id": self.id.encode(),
            b"account": self.account.encode(),
            b"amount": digits(self.cents).encode(),
            b"date": day,
            b"name": name,
            b"website": website,
            b"primary": primary,
            b"detailed": detailed,
            b"pending": b"true" if self.pending else b"false",
            b"pending_id": b'"' + self.pending_id.encode() + b'"' if self.pending_id else b"null",
            b"reference": f"{self.day:04}-{self.version}".encode(),
        }


def make_transaction(item_seed: str, number: int, accounts: list[str], rng: random.Random) -> Transaction:
    """The `number`-th transaction of an Item; every so often its id differs from another's in case only."""
    twin = number % _TWIN_ONE_IN == 1
    identity = plaid_id(f"{item_seed}/{number - 1 if twin else number}")
    cents = _HUGE_CENTS if number % _HUGE_ONE_IN == 7 else rng.randrange(-500_000, 2_000_000)
    return Transaction(
        id=identity.swapcase() if twin else identity,
        account=rng.choice(accounts),
        cents=cents,
        day=rng.randrange(_DAYS),
        merchant=rng.randrange(len(_MERCHANTS)),
        pending=number % _PENDING_ONE_IN == 0,
    )


def render_account(identity: str, number: int, rng: random.Random) -> bytes:
    """One account of an Item, with balances that a float would spoil on every third."""
    cents = _HUGE_CENTS if number % 3 == 2 else rng.randrange(0, 10_000_000)
    credit = number % 2 == 1
    document: dict[str, Any] = {
        "account_id": identity,
        "balances": "@@",
        "mask": f"{number % 10_000:04}",
        "name": f"Plaid {'Credit Card' if credit else 'Checking'} {number}",
        "official_name": None if credit else "Plaid Gold Standard 0% Interest Checking",
        "type": "credit" if credit else "depository",
        "subtype": "credit card" if credit else "checking",
        "persistent_account_id": plaid_id(identity),
    }
    limit = "2000" if credit else "null"
    balances = (
        f'{{"available":{digits(cents)},"current":{digits(cents)},"limit":{limit},'
        '"iso_currency_code":"USD","unofficial_currency_code":null}'
    )
    return json.dumps(document, separators=(",", ":")).replace('"@@"', balances).encode()


def _template() -> bytes:
    """The document with places for `%`; made once, from a document that can be read."""
    nothing = dict.fromkeys(
        ("by_order_of", "payee", "payer", "payment_method", "payment_processor", "ppd_id")
    )
    place = dict.fromkeys(("address", "city", "region", "postal_code", "store_number"))
    document = {
        "account_id": "%(account)s",
        "account_owner": None,
        "amount": "@@%(amount)s@@",
        "iso_currency_code": "USD",
        "unofficial_currency_code": None,
        "check_number": None,
        "counterparties": [
            {
                "name": "%(name)s",
                "type": "merchant",
                "logo_url": "https://plaid-merchant-logos.plaid.com/%(website)s.png",
                "website": "%(website)s",
                "entity_id": "O5W5j4dN9OR3E6ypQmjdkWZZRoXEzVMz2ByWM",
                "confidence_level": "VERY_HIGH",
            }
        ],
        "date": "%(date)s",
        "datetime": "%(date)sT11:01:01Z",
        "authorized_date": "%(date)s",
        "authorized_datetime": "%(date)sT10:34:50Z",
        "location": {**place, "country": "US", "lat": 32.959068, "lon": -117.037666},
        "name": "PURCHASE %(name)s",
        "merchant_name": "%(name)s",
        "merchant_entity_id": "O5W5j4dN9OR3E6ypQmjdkWZZRoXEzVMz2ByWM",
        "website": "%(website)s",
        "payment_meta": {**nothing, "reason": None, "reference_number": "%(reference)s"},
        "payment_channel": "in store",
        "pending": "@@%(pending)s@@",
        "pending_transaction_id": "@@%(pending_id)s@@",
        "personal_finance_category": {
            "primary": "%(primary)s",
            "detailed": "%(detailed)s",
            "confidence_level": "VERY_HIGH",
            "version": "v2",
        },
        "transaction_id": "%(id)s",
        "transaction_code": None,
        "transaction_type": "place",
        "original_description": None,
    }
    text = json.dumps(document, separators=(",", ":"))
    return text.replace('"@@', "").replace('@@"', "").encode()


def _fill(row: bytes, size: int) -> bytes:
    """The row with an original description as long as it takes."""
    missing = size - len(row) + len(_EMPTY) - 2
    if missing <= 0:
        return row
    words = (_WORDS * (missing // len(_WORDS) + 1))[:missing]
    return row.removesuffix(_EMPTY + b"}") + b'"' + words + b'"}'


_TEMPLATE = _template()
_RENDERED = [tuple(json.dumps(text)[1:-1].encode() for text in merchant) for merchant in _MERCHANTS]
_EMPTY = b"null"
_WORDS = b"CARD PURCHASE AT TERMINAL 4711 "
