"""One page is fetched ahead, in order, and errors come after the pages before them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from leaderjobs.engine.prefetch import Prefetch
from leaderjobs.errors import TransientError
from leaderjobs.model.batch import Batch, Landing


def a_batch(number: int) -> Batch:
    return Batch("s", b"{}", (), None, {"n": number}, Landing.UPSERT, number)


def test_batches_come_in_order() -> None:
    with Prefetch(iter([a_batch(1), a_batch(2), a_batch(3)]), "t") as pages:
        assert [batch.rows for batch in pages] == [1, 2, 3]


def test_an_error_comes_after_the_batches_that_were_yielded_before_it() -> None:
    def read() -> Iterator[Batch]:
        yield a_batch(1)
        raise TransientError("down")

    seen: list[int] = []
    with pytest.raises(TransientError, match="down"), Prefetch(read(), "t") as pages:
        seen.extend(batch.rows for batch in pages)
    assert seen == [1]


def test_the_next_page_is_fetched_while_one_is_written_but_not_two() -> None:
    asked: list[int] = []
    second, third = threading.Event(), threading.Event()

    def read() -> Iterator[Batch]:
        for number, event in ((1, None), (2, second), (3, third)):
            asked.append(number)
            if event is not None:
                event.set()
            yield a_batch(number)

    with Prefetch(read(), "t") as pages:
        next(iter(pages))
        assert second.wait(5)
        assert not third.wait(0.2)
    assert asked == [1, 2]


def test_leaving_early_ends_the_fetching_thread() -> None:
    def read() -> Iterator[Batch]:
        number = 0
        while True:
            number += 1
            yield a_batch(number)

    with Prefetch(read(), "early") as pages:
        next(iter(pages))
    for thread in threading.enumerate():
        if thread.name == "fetch-early":
            thread.join(5)
            assert not thread.is_alive()
