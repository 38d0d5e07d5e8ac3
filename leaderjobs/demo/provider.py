"""The Plaid stand-in as a process of its own, and the control calls that switch its faults."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from leaderjobs.demo.process import tied
from leaderjobs.errors import EmbeddedError

CALL_TIMEOUT = 10.0
STOP_PATIENCE = 5.0


class Provider:
    """One sandbox process with one Item; its books are the judge of what Postgres must hold."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        """Start it and wait until it serves; EmbeddedError when it does not."""
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                tied([sys.executable, "-m", "leaderjobs.sandbox", *arguments]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            self.stop()
            raise EmbeddedError(f"the provider's stand-in did not start; see {log}")
        told: dict[str, str] = json.loads(line)
        self.url = told["url"]
        self.client_id = told["client_id"]
        self.secret = told["secret"]
        self.access_token = told["access_token"]

    def state(self) -> dict[str, Any]:
        """Counts of rows, requests and pages, as the provider itself keeps them."""
        return self._call("state", None)

    def faults(self, *faults: Mapping[str, object]) -> None:
        """Switch on these faults and no others (`sandbox.faults.Fault` has the names)."""
        self._call("faults", list(faults))

    def rows(self) -> dict[str, dict[str, Any]]:
        """Every transaction that exists at the provider, by id; numbers as Decimal."""
        items: dict[str, list[dict[str, Any]]] = self._call("rows", None)
        return {row["transaction_id"]: row for rows in items.values() for row in rows}

    def change(self, **changes: object) -> dict[str, Any]:
        """Add, modify or remove transactions at the provider."""
        return self._call("change", changes)

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

    def _call(self, name: str, body: object) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own child on loopback
            f"{self.url}/_sandbox/{name}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT) as answer:  # noqa: S310 - as above
            told: dict[str, Any] = json.load(answer, parse_float=Decimal)
            return told
