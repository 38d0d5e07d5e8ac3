"""What may be wrong with a provider, as its stand-in's switches and as the way to it; before and after the effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from leaderjobs.demo.rig import SYNC
from tests.cluster.field_config import BILLING

PAY: Final = "/v1/invoices/*/pay"


def _pay(kind: str, **more: object) -> dict[str, object]:
    return {"kind": kind, "method": "POST", "path": PAY, "count": 6, **more}


STRIPE_FAULTS: Final[tuple[Mapping[str, Any], ...]] = (
    *(_pay(kind, after=after) for kind in ("reset", "hang", "drop", "html") for after in (False, True)),
    _pay("truncated"),
    _pay("shapeless"),
    _pay("slow_drip", delay_ms=20),
    _pay("latency", delay_ms=1500),
    _pay("latency", delay_ms=1500, after=True),
    _pay("latency", delay_ms=4000),
    _pay("rate_limited", retry_after="1"),
    _pay("rate_limited"),
    _pay("server_error", stored=False),
    _pay("server_error", stored=True, count=1),
    _pay("server_error", stored=True, after=True, count=1),
    _pay("server_error", stored=False, after=True),
    _pay("server_error", status=503, stored=False),
    # Whatever is asked, look-ups included.
    {"kind": "reset", "probability": 0.5},
    {"kind": "hang", "count": 4},
    {"kind": "rate_limited", "retry_after": "1"},
    {"kind": "html", "status": 502, "method": "GET"},
    {"kind": "truncated", "probability": 0.3},
)
PLAID_FAULTS: Final[tuple[Mapping[str, Any], ...]] = (
    {"kind": "server_error", "probability": 0.4},
    {"kind": "reset", "probability": 0.4},
    {"kind": "hang", "count": 2},
    {"kind": "truncated", "count": 2},
    {"kind": "html", "count": 2},
    {"kind": "rate_limited", "retry_after": "1", "count": 3},
    {"kind": "mutation", "count": 1},
)
WIRE_FAULTS: Final[tuple[Mapping[str, Any], ...]] = (
    *(
        {"provider": BILLING, "by": by}
        for by in ("black_hole", "drop_answers", "lose_next_answer", "cut", "refuse")
    ),
    *(
        {"provider": BILLING, "by": "delay", "milliseconds": milliseconds}
        for milliseconds in (100, 400, 1200)
    ),
    {"provider": SYNC, "by": "black_hole"},
    {"provider": SYNC, "by": "cut"},
)
