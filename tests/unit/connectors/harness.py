"""What connector tests share: those of leaderjobs.testing, and settings for a sandbox of Plaid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.plaid.connector import PlaidConnector, PlaidSettings
from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from leaderjobs.testing import Clock, Context, Table
from leaderjobs.values import Duration, Rate, Secret

__all__ = ["BOUND", "Clock", "Context", "Table", "plaid", "settings"]

BOUND = 10.0
"""Seconds that a request may take before a test gives up on it."""


def settings(sandbox: PlaidSandbox, **other: object) -> PlaidSettings:
    """Settings that reach the sandbox's first Item, at full speed unless told otherwise."""
    values: dict[str, Any] = {
        "base_url": sandbox.url,
        "client_id": Secret(literal=sandbox.client_id),
        "secret": Secret(literal=sandbox.secret),
        "access_token": Secret(literal=sandbox.access_token),
        "page_size": 10,
        "rate_limit": Rate(1_000_000, timedelta(seconds=1)),
        "timeout": Duration(seconds=BOUND),
    }
    return PlaidSettings(**(values | other))


def plaid(sandbox: PlaidSandbox, *, clock: Clock | None = None, **other: Any) -> PlaidConnector:
    """A connector to the sandbox; the caller closes it."""
    return PlaidConnector("household", settings(sandbox, **other), Paces(elapsed=clock or Clock()))
