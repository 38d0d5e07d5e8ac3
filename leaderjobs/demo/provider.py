"""The providers' stand-ins as processes of their own, and the control calls that switch their faults."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from leaderjobs.demo.process import tied
from leaderjobs.errors import EmbeddedError

CALL_TIMEOUT = 10.0
STOP_PATIENCE = 5.0


class StandIn:
    """One sandbox process; what it wrote down is the judge of what really happened."""

    kind: ClassVar[str]

    def __init__(self, arguments: list[str], log: Path) -> None:
        """Start it and wait until it serves; EmbeddedError when it does not."""
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                tied([sys.executable, "-m", "leaderjobs.sandbox", self.kind, *arguments]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            self.stop()
            raise EmbeddedError(f"the provider's stand-in did not start; see {log}")
        self.told: dict[str, str] = json.loads(line)
        self.url = self.told["url"]

    def state(self) -> dict[str, Any]:
        """Counts of what there is and what was asked, as the provider itself keeps them."""
        counts: dict[str, Any] = self._call("state", None)
        return counts

    def faults(self, *faults: Mapping[str, object]) -> None:
        """Switch on these faults and no others (`sandbox.faults.Fault` has the names)."""
        self._call("faults", list(faults))

    def change(self, **changes: object) -> dict[str, Any]:
        """Let something happen at the provider; ValueError with its words for what it does not do."""
        done: dict[str, Any] = self._call("change", changes)
        return done

    def stop(self) -> None:
        """End the process; safe to call twice."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _call(self, name: str, body: object) -> Any:  # noqa: ANN401 - whatever JSON there is
        request = urllib.request.Request(  # noqa: S310 - our own child on loopback
            f"{self.url}/_sandbox/{name}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT) as answer:  # noqa: S310 - as above
                return json.load(answer, parse_float=Decimal)
        except urllib.error.HTTPError as refused:
            with refused:
                raise ValueError(f"{self.kind} stand-in: {refused.read().decode()}") from None


class Provider(StandIn):
    """Plaid with one Item; its books are the judge of what Postgres must hold."""

    kind = "plaid"

    def __init__(self, arguments: list[str], log: Path) -> None:
        """As the base class."""
        super().__init__(arguments, log)
        self.client_id = self.told["client_id"]
        self.secret = self.told["secret"]
        self.access_token = self.told["access_token"]

    def rows(self) -> dict[str, dict[str, Any]]:
        """Every transaction that exists at the provider, by id; numbers as Decimal."""
        items: dict[str, list[dict[str, Any]]] = self._call("rows", None)
        return {row["transaction_id"]: row for rows in items.values() for row in rows}


class KeyedProvider(StandIn):
    """A provider of effects, with a book of what took effect and a list of what arrived."""

    def book(self) -> dict[str, list[dict[str, Any]]]:
        """What took effect: `payments`, `refunds`, `orders`; times are Decimal seconds by the wall clock."""
        lines: dict[str, list[dict[str, Any]]] = self._call("book", None)
        return lines

    def sends(self) -> list[dict[str, Any]]:
        """Every POST with a key that arrived, oldest first."""
        arrivals: list[dict[str, Any]] = self._call("sends", None)
        return arrivals

    def rows(self) -> dict[str, dict[str, Any]]:
        """Every object at the provider, by id."""
        kinds: dict[str, list[dict[str, Any]]] = self._call("rows", None)
        return {row["id"]: row for rows in kinds.values() for row in rows}


class StripeProvider(KeyedProvider):
    """Stripe with one account."""

    kind = "stripe"

    def __init__(self, arguments: list[str], log: Path) -> None:
        """As the base class."""
        super().__init__(arguments, log)
        self.api_key = self.told["api_key"]


class OrdersProvider(KeyedProvider):
    """The small provider of orders."""

    kind = "orders"

    def __init__(self, arguments: list[str], log: Path) -> None:
        """As the base class."""
        super().__init__(arguments, log)
        self.token = self.told["token"]
