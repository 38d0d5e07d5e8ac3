"""Keys, arrivals, the book, the settable clock and the faults: what a judge relies on."""

from __future__ import annotations

from datetime import timedelta
from email.message import Message

import msgspec
import pytest

from leaderjobs import clock
from leaderjobs.sandbox import book, keys, sends
from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind, Faults
from leaderjobs.sandbox.keys import Claim, Keys, Use
from leaderjobs.sandbox.settable_clock import SettableClock

DONE = Reply(200, b"{}")


def use(at: float = 0, request: str = "req_1", endpoint: str = "POST /a", parameters: str = "") -> Use:
    return Use(endpoint=endpoint, parameters=parameters, at=at, request=request)


def claimed(known: Keys, *uses: Use) -> list[Claim]:
    return [known.claim("k", each)[0] for each in uses]


def test_a_key_is_new_then_in_use_then_a_replay_then_new_again() -> None:
    known = Keys(timedelta(seconds=10))
    assert claimed(known, use(), use(1, "req_2")) == [Claim.NEW, Claim.IN_USE]
    known.keep("k", "req_2", DONE)  # It is not req_2's key.
    assert claimed(known, use(2)) == [Claim.IN_USE]
    known.keep("k", "req_1", DONE)
    assert claimed(known, use(9.9), use(9.9, endpoint="POST /b"), use(9.9, parameters="x")) == [
        Claim.REPLAY, Claim.OTHER_ENDPOINT, Claim.OTHER_PARAMETERS,
    ]  # fmt: skip
    assert claimed(known, use(10)) == [Claim.NEW]


def test_a_key_is_released_only_by_the_request_that_holds_it_and_only_without_an_answer() -> None:
    known = Keys(timedelta(seconds=10))
    claimed(known, use())
    known.release("k", "req_2")
    assert len(known) == 1
    known.release("k", "req_1")
    assert len(known) == 0
    claimed(known, use())
    known.keep("k", "req_1", DONE)
    known.release("k", "req_1")
    assert len(known) == 1


def test_a_key_at_work_outlives_its_time_and_no_key_goes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Keys(timedelta(seconds=10))
    claimed(known, use())
    assert claimed(known, use(100)) == [Claim.IN_USE]
    monkeypatch.setattr(keys, "MOST_KEYS", 1)
    with pytest.raises(OverflowError):
        known.claim("other", use(100))


def test_the_book_takes_lines_and_a_full_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = book.Book()
    order = book.Order(order="o", reference="r", cents=1)
    lines.enter(order)
    monkeypatch.setattr(book, "MOST_LINES", 1)
    with pytest.raises(OverflowError):
        lines.enter(order)
    assert lines.orders() == [order]
    assert (order.by, lines.payments(), lines.refunds()) == ("other", [], [])
    assert abs(order.at - clock.now().timestamp()) < 5


def test_arrivals_are_a_ring_and_a_late_word_about_a_forgotten_one_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sends, "MOST_SENDS", 2)
    ring = sends.Sends()
    requests = [Request(number, "POST", "/a", "", Message(), b"") for number in range(3)]
    for place, request in enumerate(requests):
        ring.arrived(request, f"k{place}")
    ring.said(requests[0], 200, acted=True)
    ring.said(requests[2], 402)
    assert [(send.idempotency_key, send.status) for send in ring.all()] == [("k1", None), ("k2", 402)]
    ring.all()[0].status = 500
    assert ring.all()[0].status is None


def test_the_clock_goes_forward_only() -> None:
    settable = SettableClock()
    settable.advance(timedelta(days=2))
    assert abs(settable.now() - clock.now().timestamp() - 2 * 86400) < 5
    for wrong in (timedelta(seconds=-1), timedelta(days=4000)):
        with pytest.raises(ValueError, match="forward"):
            settable.advance(wrong)


def test_faults_choose_by_method_and_by_a_pattern_in_the_path() -> None:
    faults = Faults(0)
    faults.replace(Fault(kind=FaultKind.RESET, method="POST", path="/v1/invoices/*/pay"))
    asked = [
        ("/v1/invoices/in_1/pay", "POST"), ("/v1/invoices/in_1/pay", "GET"), ("/v1/invoices/in_1", "POST"),
        ("/v1/invoices/in_1/pay/now", "POST"), ("/v1/customers", "POST"),
    ]  # fmt: skip
    assert [len(faults.draw(path, method)) for path, method in asked] == [1, 0, 0, 1, 0]
    assert len(faults.draw("/v1/invoices/in_1/pay")) == 1


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_strikes_after_only_where_that_means_something(kind: FaultKind) -> None:
    text = f'{{"kind": "{kind}", "after": true}}'.encode()
    later = {
        "latency",
        "server_error",
        "redirect",
        "html",
        "reset",
        "drop",
        "hang",
        "truncated",
        "slow_drip",
        "huge",
        "shapeless",
    }
    if kind in later:
        assert msgspec.json.decode(text, type=Fault).after
    else:
        with pytest.raises(msgspec.ValidationError, match="never strikes after"):
            msgspec.json.decode(text, type=Fault)
