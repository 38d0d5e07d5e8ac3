"""The Google Analytics Data API v1beta on loopback: one property, and the token endpoint beside it."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import RLock
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.google import tokens as google_tokens
from leaderjobs.sandbox.google.answers import GoogleRefusal, refuse, strike
from leaderjobs.sandbox.google.tokens import GoogleTokens
from leaderjobs.sandbox.google_analytics.data import DIMENSIONS, METRICS, PropertyData, Quality
from leaderjobs.sandbox.google_analytics.quota import PropertyQuotas
from leaderjobs.sandbox.google_analytics.requests import Asked, compatibility, report
from leaderjobs.sandbox.server import Sandbox
from leaderjobs.sandbox.settable_clock import SettableClock

SCOPES = frozenset({"https://www.googleapis.com/auth/analytics.readonly"})
CURRENCY = "USD"
_CALL = re.compile(r"/v1beta/properties/([0-9]+)(:runReport|:checkCompatibility|/metadata)")
_CHANGES = ("add", "modify", "remove")


class GoogleAnalyticsSandbox(Sandbox):
    """One property (`property_id`); its service account and its user may both read it."""

    methods = frozenset({"GET", "POST"})

    def __init__(
        self,
        *,
        seed: int = 0,
        days: int = 7,
        rows_per_day: int = 20,
        zone: str = "America/New_York",
        port: int = 0,
        latency: timedelta = timedelta(0),
    ) -> None:
        """There is data for so many days before today; the seed decides all of it."""
        super().__init__(seed=seed, port=port, latency=latency)
        self._state = RLock()
        self.clock = SettableClock()
        self.zone = zone
        self.property_id = "424242"
        self.refuses_incompatible = True
        """Whether `checkCompatibility` fails for an impossible report, or says which fields are at fault."""
        self.tokens = GoogleTokens(seed, self.clock, scopes=tuple(SCOPES))
        self.quotas = PropertyQuotas(self.clock)
        self.data = PropertyData(seed, self.today() - timedelta(days=days), rows_per_day, self.today)
        self._answered: Counter[bytes] = Counter()
        self._shuffles = random.Random(f"{seed}/shuffles")

    @property
    def client_id(self) -> str:
        """Of the OAuth client."""
        return self.tokens.client_id

    @property
    def client_secret(self) -> str:
        """Of the OAuth client."""
        return self.tokens.client_secret

    @property
    def refresh_token(self) -> str:
        """The user's."""
        return self.tokens.refresh_token

    def run_report(self) -> str:
        """The path under which `requests` counts reports."""
        return f"/v1beta/properties/{self.property_id}:runReport"

    def today(self) -> date:
        """The day that it is at the property."""
        return datetime.fromtimestamp(self.clock.now(), ZoneInfo(self.zone)).date()

    def add(self, count: int, day: date | None = None) -> None:
        """New combinations, of `day` or of any that may still change."""
        with self._state:
            self.data.add(count, day)

    def modify(self, count: int) -> None:
        """Other figures for up to so many combinations of days that may still change."""
        with self._state:
            self.data.modify(count)

    def remove(self, count: int, day: date | None = None) -> None:
        """Up to so many combinations, of `day` or of any that may still change, are no longer counted."""
        with self._state:
            self.data.remove(count, day)

    def flag(self, day: date, quality: Quality) -> None:
        """What Google says of a day's figures from now on."""
        with self._state:
            self.data.quality[day] = quality

    def rows(
        self, dimensions: tuple[str, ...], metrics: tuple[str, ...], since: date | None = None
    ) -> list[dict[str, Any]]:
        """The rows that a copy of such a report must hold from `since` on; all values are text or boolean."""
        with self._state:
            found = []
            for day in self.data.days():
                if since is not None and day < since:
                    continue
                quality = self.data.quality.get(day, Quality())
                for values, numbers in self.data.report([day], dimensions, metrics):
                    found.append(
                        {
                            "property": self.property_id,
                            "date": day.isoformat(),
                            **dict(zip(dimensions, values, strict=True)),
                            **{name: _shown(number) for name, number in zip(metrics, numbers, strict=True)},
                            "sampled": quality.sampled,
                            "thresholded": quality.thresholded,
                            "other_row": quality.other_row,
                            "currency": CURRENCY,
                            "time_zone": self.zone,
                        }
                    )
            return found

    def state(self) -> dict[str, Any]:
        """Counts; `pages_asked_twice`: answers given before, of a day that has not changed since."""
        with self._state:
            return {
                "requests": self.requests(),
                "pages_answered": self._answered.total(),
                "pages_asked_twice": sum(count - 1 for count in self._answered.values()),
                "tokens": self.tokens.issued,
                "facts": sum(len(self.data.facts(day)) for day in self.data.days()),
                "faults_struck": self.faults.struck(),
            }

    def rows_json(self) -> bytes:
        """What was counted, by all dimensions that can stand beside sessions."""
        dimensions = tuple(name for name in DIMENSIONS if name != "itemName")
        return msgspec.json.encode(self.rows(dimensions, tuple(METRICS)))

    def record_json(self, name: str) -> bytes | None:
        """`key`: the service account's key file."""
        return self.tokens.key_file(self.url).encode() if name == "key" else None

    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """`add`, `modify`, `remove` with a count; `expire_tokens`; `revoke` with true or false."""
        unknown = set(wanted) - {*_CHANGES, "expire_tokens", "revoke"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        with self._state:
            for name in _CHANGES:
                if name in wanted:
                    getattr(self, name)(int(wanted[name]))
            if "revoke" in wanted:
                self.tokens.revoke(revoked=bool(wanted["revoke"]))
            elif wanted.get("expire_tokens"):
                self.tokens.expire()
        return {"changed": sorted(wanted)}

    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        """As Google: a token, or the API's answer to whoever has one."""
        with self._state:
            if request.path == google_tokens.PATH:
                return self.tokens.answer(request, faults)
            try:
                self.tokens.demand(request.headers, SCOPES)
                return self._answer(request, faults)
            except GoogleRefusal as refusal:
                return refuse(refusal, faults)

    def _answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        for fault in faults:
            if fault.kind is FaultKind.SERVER_ERROR:
                self.quotas.fail()
            strike(fault)
        call = _CALL.fullmatch(request.path)
        if call is None or (request.method == "GET") is not (call[2] == "/metadata"):
            raise GoogleRefusal(404, "NOT_FOUND", "The requested URL was not found on this server.")
        if call[1] != self.property_id:
            text = "User does not have sufficient permissions for this property."
            raise GoogleRefusal(403, "PERMISSION_DENIED", text)
        quota = self.quotas.take()
        kinds = {fault.kind for fault in faults}
        if FaultKind.SHAPELESS in kinds:
            return Reply(200, b"{}")
        match call[2]:
            case "/metadata":
                said = _metadata(self.property_id, request.query)
            case ":checkCompatibility":
                said = compatibility(request.body, refuses=self.refuses_incompatible)
            case _:
                said = self._report(report(request.body, self.today()), kinds)
                if b'"returnPropertyQuota":true' in request.body:
                    said["propertyQuota"] = quota
        return Reply(200, msgspec.json.encode(said))

    def _report(self, asked: Asked, kinds: set[FaultKind]) -> dict[str, Any]:
        found = self.data.report(asked.days, asked.dimensions, asked.metrics, empty=asked.empty)
        if asked.where is not None:
            place = asked.dimensions.index(asked.where[0])
            found = [row for row in found if row[0][place] == asked.where[1]]
        # Without a whole order there is none that two pages could share.
        self._shuffles.shuffle(found)
        places = [asked.dimensions.index(name) for name in asked.order]
        found.sort(key=lambda row: [row[0][place] for place in places])
        page = found[asked.offset : asked.offset + asked.limit]
        if FaultKind.DUPLICATE_ID in kinds and page:
            page.insert(0, (page[0][0], tuple(number + 1 for number in page[0][1])))
        if not kinds.isdisjoint({FaultKind.EQUAL_CURSORS, FaultKind.EMPTY_PAGE}):
            page = []
        elif "date" in asked.dimensions:
            revisions = [self.data.revisions[day] for day in asked.days]
            self._answered[msgspec.json.encode([*_key(asked), revisions])] += 1
        said: dict[str, Any] = {
            "dimensionHeaders": [{"name": name} for name in asked.dimensions],
            "metricHeaders": [{"name": name, "type": METRICS[name]} for name in asked.metrics],
            "rows": [_row(values, numbers) for values, numbers in page],
            "rowCount": len(found),
            "metadata": self._quality(asked),
            "kind": "analyticsData#runReport",
        }
        # As protobuf's JSON has it: what is empty or 0 is left out.
        return {name: value for name, value in said.items() if value}

    def _quality(self, asked: Asked) -> dict[str, Any]:
        found = [self.data.quality.get(day, Quality()) for day in asked.days]
        said: dict[str, Any] = {"currencyCode": asked.currency or CURRENCY, "timeZone": self.zone}
        if any(quality.sampled for quality in found):
            said["samplingMetadatas"] = [{"samplesReadCount": "500000", "samplingSpaceSize": "900000"}]
        if any(quality.thresholded for quality in found):
            said["subjectToThresholding"] = True
        if any(quality.other_row for quality in found):
            said["dataLossFromOtherRow"] = True
        return said


def _key(asked: Asked) -> list[object]:
    return [asked.dimensions, asked.metrics, asked.days, asked.offset, asked.limit, asked.where]


def _metadata(property_id: str, query: str) -> dict[str, Any]:
    said: dict[str, Any] = {"name": f"properties/{property_id}/metadata"}
    if query != "fields=name":
        said["dimensions"] = [{"apiName": name, "uiName": name, "category": "Sandbox"} for name in DIMENSIONS]
        said["metrics"] = [
            {"apiName": name, "type": kind, "category": "Sandbox"} for name, kind in METRICS.items()
        ]
    return said


def _row(values: tuple[str, ...], numbers: tuple[int | Decimal, ...]) -> dict[str, Any]:
    return {
        "dimensionValues": [{"value": value} for value in values],
        "metricValues": [{"value": _shown(number)} for number in numbers],
    }


def _shown(number: int | Decimal) -> str:
    return str(number)
