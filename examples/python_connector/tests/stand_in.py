"""A carrier on 127.0.0.1, with the faults of leaderjobs' own sandboxes."""  # noqa: INP001 - tests are no package

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qs

from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.server import Sandbox

TOKEN = "carrier_0123456789"  # noqa: S105 - the stand-in's own


class Carrier(Sandbox):
    """`GET /v1/parcels`, over a list of changes in which every parcel stands once, at its last one."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET"})

    def __init__(self, parcels: int = 0) -> None:
        """With so many parcels."""
        super().__init__(seed=0)
        self._changes: dict[str, tuple[int, str]] = {}
        self._number = 0
        self._made = 0
        self.asked: list[int] = []
        self.extra = ""
        self.add(parcels)

    def add(self, count: int) -> None:
        """New parcels."""
        for _ in range(count):
            self._made += 1
            self._put(f"P{self._made:05}", "announced")

    def modify(self, count: int) -> None:
        """Some move on."""
        for key in list(self.rows())[:count]:
            self._put(key, "moving")

    def remove(self, count: int) -> None:
        """Some are cancelled."""
        for key in list(self.rows())[:count]:
            self._change(key, "")

    def rows(self) -> dict[str, dict[str, Any]]:
        """What a copy must hold."""
        return {
            key: json.loads(text, parse_float=Decimal)
            for key, (_, text) in sorted(self._changes.items())
            if text
        }

    def begin(self, request: Request, faults: tuple[Fault, ...]) -> Reply | None:
        """Refusals."""
        for fault in faults:
            if fault.kind is FaultKind.RATE_LIMITED:
                return Reply(429, b"{}", {"Retry-After": fault.retry_after or "1"})
            if fault.kind is FaultKind.SERVER_ERROR:
                return Reply(fault.status or 500, b"{}")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Reply(401, b"{}")
        return None

    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        """A page."""
        kinds = {fault.kind for fault in faults}
        if FaultKind.SHAPELESS in kinds:
            return Reply(200, b'{"surprise": true}')
        asked = parse_qs(request.query)
        after, limit = int(asked["after"][0]), int(asked["limit"][0])
        newer = sorted((number, key, text) for key, (number, text) in self._changes.items() if number > after)
        page = newer[:limit]
        if limit > 1:
            self.asked.append(after)
        last = after if FaultKind.EQUAL_CURSORS in kinds or not page else page[-1][0]
        body = "".join(
            (
                '{"parcels":[',
                ",".join(text for _, _, text in page if text),
                '],"deleted":',
                json.dumps([{"id": key} for _, key, text in page if not text]),
                f',"last":{last},"more":{json.dumps(len(newer) > limit)}}}',
            )
        )
        return Reply(200, body.encode())

    def state(self) -> dict[str, Any]:
        """Counts."""
        return {"requests": self.requests(), "parcels": len(self.rows())}

    def rows_json(self) -> bytes:
        """All of them."""
        return json.dumps([text for _, text in self._changes.values()]).encode()

    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Over the wire."""
        self.add(int(wanted["add"]))
        return {}

    def _put(self, key: str, status: str) -> None:
        self._change(
            key,
            f'{{"id":"{key}","status":"{status}","grams":{850 + self._made},"postage":4.49000000000000000001,'
            f'"address":{{"town":"Ulm"}},"announced_at":"2026-01-01T00:00:00Z"{self.extra}}}',
        )

    def _change(self, key: str, text: str) -> None:
        self._number += 1
        self._changes[key] = (self._number, text)
