"""What a sandbox keeps of the requests that it got."""

from __future__ import annotations

from email.message import Message

from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from leaderjobs.sandbox.server import MOST_RECORDED, MOST_RECORDED_BYTES


def test_the_last_requests_are_kept_as_they_came_without_those_that_are_large() -> None:
    with PlaidSandbox(transactions=1) as sandbox:
        for number in range(MOST_RECORDED + 5):
            sandbox.received("POST", f"/{number}", "a=1", Message(), b"body")
        sandbox.received("POST", "/large", "", Message(), b" " * (MOST_RECORDED_BYTES + 1))
    kept = sandbox.recorded()
    assert [request.path for request in kept] == [f"/{number}" for number in range(5, MOST_RECORDED + 5)]
    assert (kept[0].method, kept[0].query, kept[0].body) == ("POST", "a=1", b"body")
