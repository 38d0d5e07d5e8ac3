"""Threads for attempts: as many as needed at once, no more than allowed, few where few do."""

from __future__ import annotations

import threading

from leaderjobs.engine.pool import Pool
from tests.support import eventually


def test_slow_work_runs_side_by_side_up_to_the_bound() -> None:
    gate = threading.Event()
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        gate.wait(10)

    pool = Pool(8, work)
    pool.put(range(12))
    eventually(lambda: len(begun) == 8, what="eight at a time")
    assert sorted(pool.take_back()) == list(range(8, 12))
    pool.put([99])
    assert 99 not in begun
    gate.set()
    eventually(lambda: 99 in begun, what="the rest")
    pool.close()
    assert pool.join(5)


def test_work_that_does_not_wait_needs_few_threads_and_is_done_in_order() -> None:
    done: list[int] = []
    names: set[str] = set()

    def work(item: int) -> None:
        done.append(item)
        names.add(threading.current_thread().name)

    pool = Pool(64, work)
    for n in range(0, 20_000, 100):
        pool.put(range(n, n + 100))
    eventually(lambda: len(done) == 20_000, what="all of it")
    pool.close()
    assert pool.join(5)
    assert sorted(done) == list(range(20_000))
    assert len(names) < 32


def test_a_parked_thread_is_found_again() -> None:
    done = threading.Semaphore(0)
    pool: Pool[int] = Pool(2, lambda _item: done.release())
    for n in range(500):
        pool.put([n])
        assert done.acquire(timeout=5), f"the {n + 1}th was not done"
    pool.close()
    assert pool.join(5)


def test_what_is_put_from_many_threads_is_done_once() -> None:
    done: list[int] = []
    pool = Pool(8, done.append)

    def put(first: int) -> None:
        for n in range(500):
            pool.put([first + n])

    threads = [threading.Thread(target=put, args=(k * 500,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(done) >= 4_000, what="all of it")
    pool.close()
    assert pool.join(5)
    assert sorted(done) == list(range(4_000))


def test_closed_pool_ends_its_threads_after_their_work() -> None:
    gate = threading.Event()

    def work(_item: int) -> None:
        gate.wait(10)

    pool = Pool(2, work)
    pool.put([1])
    pool.close()
    assert not pool.join(0.05)
    gate.set()
    assert pool.join(5)
