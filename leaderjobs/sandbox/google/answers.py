"""Refusals in the shape of Google's APIs."""

from __future__ import annotations

import msgspec

from leaderjobs.sandbox.exchange import Reply
from leaderjobs.sandbox.faults import Fault, FaultKind


class GoogleRefusal(Exception):
    """`{"error": {code, message, status, errors: [{reason}], details: [{reason}]}}`."""

    def __init__(self, code: int, status: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code, self.status, self.text, self.reason = code, status, message, reason


def strike(fault: Fault) -> None:
    """Raise the refusal that a fault stands for, if it is one; ERROR: `error_type` is the status."""
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            text = "Exhausted concurrent requests quota. Please send fewer requests concurrently."
            raise GoogleRefusal(429, "RESOURCE_EXHAUSTED", text)
        case FaultKind.SERVER_ERROR:
            raise GoogleRefusal(fault.status or 500, "INTERNAL", "Internal error encountered.")
        case FaultKind.ERROR:
            status = fault.error_type
            raise GoogleRefusal(fault.status or 400, status, f"as asked for: {status}", fault.error_code)
        case _:
            return


def refuse(refusal: GoogleRefusal, faults: tuple[Fault, ...] = ()) -> Reply:
    """An error answer; a fault's `retry_after` becomes the header."""
    said = {"code": refusal.code, "message": refusal.text, "status": refusal.status}
    more: dict[str, object] = {}
    if refusal.reason:
        domain = "googleapis.com"
        more = {
            "errors": [{"message": refusal.text, "domain": "global", "reason": refusal.reason}],
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": refusal.reason,
                    "domain": domain,
                }
            ],
        }
    wait = [fault.retry_after for fault in faults if fault.retry_after is not None]
    return Reply(
        refusal.code,
        msgspec.json.encode({"error": said | more}),
        {"Retry-After": wait[0]} if wait else {},
    )
