"""Refusals in the shape of the YouTube Data API."""

from __future__ import annotations

import msgspec

from leaderjobs.sandbox.exchange import Reply
from leaderjobs.sandbox.faults import Fault, FaultKind


class YouTubeRefusal(Exception):
    """`{"error": {code, message, errors: [{message, domain, reason}], status?, details?}}`."""

    def __init__(self, code: int, reason: str, message: str, *, domain: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.code, self.reason, self.text = code, reason, message
        self.domain, self.detail = domain or "global", detail


def refuse(refusal: YouTubeRefusal, faults: tuple[Fault, ...]) -> Reply:
    """An error answer; a fault's `retry_after` becomes the header."""
    entry = {"message": refusal.text, "domain": refusal.domain, "reason": refusal.reason}
    said: dict[str, object] = {"code": refusal.code, "message": refusal.text, "errors": [entry]}
    if refusal.detail:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        said["status"] = "INVALID_ARGUMENT" if refusal.code == 400 else "PERMISSION_DENIED"
        said["details"] = [{"@type": kind, "reason": refusal.detail, "domain": "googleapis.com"}]
    wait = [fault.retry_after for fault in faults if fault.retry_after is not None]
    return Reply(refusal.code, msgspec.json.encode({"error": said}), {"Retry-After": wait[0]} if wait else {})


def strike(fault: Fault, *, paging: bool) -> None:
    """Raise the refusal that a fault stands for, if it is one; ERROR: `error_code` is the reason."""
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            raise YouTubeRefusal(429, "rateLimitExceeded", "Rate Limit Exceeded", domain="usageLimits")
        case FaultKind.SERVER_ERROR:
            raise YouTubeRefusal(fault.status or 500, "backendError", "Backend Error")
        case FaultKind.ERROR:
            raise YouTubeRefusal(fault.status or 400, fault.error_code, "as asked for")
        case FaultKind.MUTATION if paging:
            raise stale_token()
        case _:
            return


def quota_exceeded() -> YouTubeRefusal:
    """The project's units of the day are used up."""
    text = "The request cannot be completed because you have exceeded your quota."
    return YouTubeRefusal(403, "quotaExceeded", text, domain="youtube.quota")


def stale_token() -> YouTubeRefusal:
    """A page token that leads nowhere."""
    text = "The request specifies an invalid page token."
    return YouTubeRefusal(400, "invalidPageToken", text, domain="youtube.parameter")


def bad_parameter(reason: str, name: str) -> YouTubeRefusal:
    """A query that the description does not allow."""
    return YouTubeRefusal(400, reason, f"parameter {name}", domain="youtube.parameter")
