"""Plaid: an update comes in pages that are staged, and lands as one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.plaid.connector import SYNC_PATH
from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from leaderjobs.testing import LEAST_PAGES
from tests.contract.connectors.stand_in import StandIn
from tests.unit.connectors.harness import plaid

_UNKNOWN = b',"made_up":{"id":12345678901234567890,"rate":0.12345678901234567890}}'


class PlaidStandIn(StandIn):
    name = "plaid"
    stream = "transactions"
    descriptions = ("plaid",)
    troubled = SYNC_PATH
    numbers = ("90071992547409.93", "12345678901234567890", "0.12345678901234567890")

    def __init__(self) -> None:
        self.sandbox: PlaidSandbox = PlaidSandbox(transactions=10 * LEAST_PAGES - 5, row_bytes=400)

    def connect(self, **options: Any) -> Connector:
        return plaid(self.sandbox, **options)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.sandbox.client_id, self.sandbox.secret, self.sandbox.access_token)

    def rows(self, stream: str) -> Mapping[str, Mapping[str, Any]]:
        if stream == self.stream:
            return self.sandbox.rows()
        accounts = self.sandbox._item(None).accounts
        return {key: json.loads(raw, parse_float=Decimal) for key, raw in accounts.items()}

    def add(self, count: int) -> None:
        self.sandbox.add(count)

    def modify(self, count: int) -> None:
        self.sandbox.modify(count)

    def remove(self, count: int) -> None:
        self.sandbox.remove(count)

    def change_shapes(self) -> None:
        item = self.sandbox._item(None)
        for key, raw in list(item._existing())[:15]:
            changed = raw.replace(b'"pending":false', b'"pending":"no"')
            item._append(key, changed.removesuffix(b"}") + _UNKNOWN)

    def pages_asked_twice(self) -> int:
        return int(self.sandbox.state()["pages_asked_twice"])
