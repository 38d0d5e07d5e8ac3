"""Do provider and Postgres agree? Asked of the provider's books and of the tables only (I8)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal

from leaderjobs.demo.rig import SYNC, Rig


@dataclass(frozen=True, slots=True)
class Judgement:
    """Row counts of both sides, and whether every single document is equal."""

    provider_rows: int
    postgres_rows: int
    agree: bool


def judge(rig: Rig) -> Judgement:
    """Compare every transaction document, and the number of accounts, deleted rows left out."""
    books = rig.provider.rows()
    accounts = rig.provider.state()["accounts"]
    stored = {
        key: json.loads(doc, parse_float=Decimal)
        for key, doc in rig.stores.rows.documents("plaid", "transactions", SYNC)
    }
    stored_accounts = sum(1 for _ in rig.stores.rows.documents("plaid", "accounts", SYNC))
    return Judgement(
        provider_rows=len(books) + accounts,
        postgres_rows=len(stored) + stored_accounts,
        agree=books == stored and accounts == stored_accounts,
    )
