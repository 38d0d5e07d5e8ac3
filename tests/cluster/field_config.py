"""What the members of a field are configured to do, and what may be relied on while they do it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from leaderjobs.demo.rig import STREAMS, SYNC
from leaderjobs.embedded.server import write_private

BILLING: Final = "billing"
SHOP: Final = "shop"

# Three ways to place an order: with a key that is honoured, with a look-up only, and with neither.
OPERATIONS: Final = """
[operations.shop.order_once]
path = "/orders"
arguments = { reference = "text", cents = "integer" }
business_key = "order:{reference}"
body = { reference = "{reference}", cents = "{cents}" }
id = "id"
idempotency_header = "Idempotency-Key"
replay_window = "23h"

[operations.shop.order_seen]
path = "/orders"
arguments = { reference = "text", cents = "integer" }
business_key = "order:{reference}"
body = { reference = "{reference}", cents = "{cents}" }
id = "id"
absent_after = "3s"
[operations.shop.order_seen.look_up]
path = "/orders"
parameters = { reference = "{reference}" }
records = "data"
match = { reference = "{reference}" }
id = "id"

[operations.shop.order_blind]
path = "/orders"
arguments = { reference = "text", cents = "integer" }
business_key = "order:{reference}"
body = { reference = "{reference}", cents = "{cents}" }
id = "id"
"""
RULES: Final[Mapping[str, Any]] = {
    "order_once": {"looks_up": False},
    "order_seen": {"window": 0.0, "absent_after": 3.0},
    "order_blind": {"window": 0.0, "looks_up": False},
}
"""The same for the judges (`checks_effects.Rules`); Stripe's operations go by the defaults."""


def written(
    path: Path,
    *,
    cluster: Mapping[str, str],
    providers: Mapping[str, str],
    secrets: Mapping[str, str],
    shop: bool,
) -> None:
    """Write a configuration, and beside it a file for each of its secrets.

    `providers` are base URLs by connection; `secrets` hold the database's URL and the credentials.
    """
    secret = {}
    for name, value in secrets.items():
        file = path.with_name(f"{path.stem}.{name}")
        write_private(file, f"Bearer {value}" if name == "token" else value)
        secret[name] = f'{{ file = "{file}" }}'
    sections = {
        "cluster": {**cluster, "database": secret["database"]},
        f"connections.{SYNC}": {
            "connector": '"plaid"',
            "base_url": f'"{providers[SYNC]}"',
            "page_size": "100",
            "rate_limit": '"1000000/min"',
            **{name: secret[name] for name in ("client_id", "secret", "access_token")},
        },
        f"syncs.{SYNC}": {"connection": f'"{SYNC}"', "streams": json.dumps(list(STREAMS))},
        f"connections.{BILLING}": {
            "connector": '"stripe"',
            "base_url": f'"{providers[BILLING]}"',
            "api_key": secret["api_key"],
        },
        f"connections.{SHOP}": {
            "connector": '"rest"',
            "base_url": f'"{providers[SHOP]}"',
            "headers": f"{{ Authorization = {secret['token']} }}",
        },
    }
    text = "\n".join(
        f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
        for section, values in sections.items()
    )
    write_private(path, text + (OPERATIONS if shop else ""))
