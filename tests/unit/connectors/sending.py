"""A send over `HttpClient.exchange`, and the error of one that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from leaderjobs.connectors.http import HttpClient
from leaderjobs.connectors.outcome import Answer
from leaderjobs.errors import LeaderJobsError, TransientError

LONG = timedelta(seconds=30)
PATH = "/v1/invoices/in_1/pay"
BODY = b"payment_method=hunter3"
HEADERS = {"Authorization": "Bearer hunter2", "Idempotency-Key": "lj-1"}


@contextmanager
def client(url: str) -> Iterator[HttpClient]:
    made = HttpClient(url, timeout=LONG)
    try:
        yield made
    finally:
        made.close()


def send(
    made: HttpClient,
    *,
    method: str = "POST",
    body: bytes = BODY,
    timeout: timedelta = LONG,
    guard: Callable[[], None] | None = None,
) -> Answer:
    return made.exchange(method, PATH, body, HEADERS, timeout=timeout, guard=guard)


def failure(url: str, timeout: timedelta = LONG, guard: Callable[[], None] | None = None) -> LeaderJobsError:
    """The error of one send, which must show nothing of the request."""
    with client(url) as made, pytest.raises(LeaderJobsError) as caught:
        send(made, timeout=timeout, guard=guard)
    assert "hunter" not in f"{caught.value!s}{caught.value!r}{made!r}"
    assert "\n" not in str(caught.value)
    return caught.value


def code(error: Exception) -> str:
    assert isinstance(error, TransientError)
    return error.code
