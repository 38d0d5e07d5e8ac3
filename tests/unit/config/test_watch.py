"""A configuration that changes while a member runs: taken over when it is whole and right, kept when it is not."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderjobs.config import Settings, load
from leaderjobs.config.watch import LOOK_EVERY, Reloading
from leaderjobs.model.event import Event, EventKind
from tests.configurations import GOOD
from tests.support import eventually

SYNC = '\n[syncs.balances]\nconnection = "household"\nstreams = ["accounts"]\n'


class Watched:
    """A file, whoever looks at it, and what it told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write(GOOD)
        self.events: list[Event] = []
        self.reloading = Reloading(load(path, {}), self.events.append, {})
        self.told: list[Settings] = []
        self.reloading.subscribe(self.told.append)

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.path.chmod(0o600)

    def look(self, times: int = 2) -> None:
        """A change counts from the second look on, when it has lasted."""
        for _ in range(times):
            self.reloading.look()

    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "leaderjobs.toml")


def test_a_file_that_does_not_change_is_not_read_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.config.watch.load", None)
    watched.look(5)

    assert watched.told == []
    assert watched.events == []


def test_a_change_is_taken_over_and_told_in_order(watched: Watched) -> None:
    before = watched.reloading.current()
    order: list[str] = []
    watched.reloading.subscribe(lambda _: order.append("slow"), last=True)
    watched.reloading.subscribe(lambda _: order.append("second"))
    forget = watched.reloading.subscribe(lambda _: order.append("gone"))
    forget()
    forget()
    watched.write(GOOD + SYNC)
    watched.look()

    assert set(watched.reloading.current().syncs) == {"household", "balances"}
    assert [set(each.syncs) for each in watched.told] == [{"household", "balances"}]
    assert (order, watched.kinds()) == (["second", "slow"], ["config_reloaded"])
    assert set(before.syncs) == {"household"}, "what somebody works with has changed under him"
    watched.look(5)
    assert len(watched.told) == 1


def test_half_a_file_is_not_taken_for_a_whole_one(watched: Watched) -> None:
    """Without its second half the good configuration is a good one, too: of no sync at all."""
    watched.write(GOOD.split("[syncs")[0])
    watched.look(1)
    watched.write(GOOD + SYNC)
    watched.look()

    assert [set(each.syncs) for each in watched.told] == [{"household", "balances"}]


def test_a_file_put_in_the_place_of_the_old_one_is_seen(watched: Watched, tmp_path: Path) -> None:
    """As editors and configuration management write: same size, same time."""
    fresh = tmp_path / "fresh.toml"
    fresh.write_text(GOOD.replace("max_attempts = 3", "max_attempts = 4"))
    fresh.chmod(0o600)
    stat = watched.path.stat()
    os.utime(fresh, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    fresh.replace(watched.path)
    watched.look()

    assert watched.reloading.current().syncs["household"].max_attempts == 4


def test_a_wrong_file_keeps_the_old_settings_and_is_told_once(watched: Watched) -> None:
    before = watched.reloading.current()
    watched.write(GOOD.replace("max_attempts = 3", "max_attempts = 0"))
    watched.look()
    watched.write(GOOD.replace("max_attempts = 3", "max_attempts = 0") + "\n")
    watched.look()

    assert watched.reloading.current() is before
    assert watched.kinds() == ["config_refused"]
    [problem] = watched.reloading.problems()
    assert problem == watched.events[0].facts["error"]
    assert "leaderjobs.toml:19: syncs.household.max_attempts = 0: allowed" in problem
    assert watched.told == []

    watched.write(GOOD)
    watched.look()
    assert watched.kinds() == ["config_refused", "config_reloaded"]
    assert watched.reloading.problems() == ()


def test_a_file_that_is_gone_keeps_the_old_settings(watched: Watched) -> None:
    watched.path.unlink()
    watched.look(5)

    assert set(watched.reloading.current().syncs) == {"household"}
    assert watched.kinds() == ["config_refused"]
    assert "cannot be read: No such file" in watched.reloading.problems()[0]


def test_a_change_of_the_cluster_waits_for_a_restart_and_says_so(watched: Watched) -> None:
    watched.write(GOOD.replace("concurrency = 9", 'concurrency = 10\nmax_lag = "1s"') + SYNC)
    watched.look()

    now = watched.reloading.current()
    assert (now.cluster.concurrency, set(now.syncs)) == (9, {"household", "balances"})
    [problem] = watched.reloading.problems()
    assert "cluster.concurrency, cluster.max_lag changed; restart this member" in problem
    assert watched.events[0].facts["restart"] == problem
    watched.write(GOOD)
    watched.look()
    assert watched.reloading.problems() == ()


def test_the_environment_goes_on_winning(tmp_path: Path) -> None:
    path = tmp_path / "leaderjobs.toml"
    path.write_text(GOOD)
    environ = {"LEADERJOBS_SYNCS_HOUSEHOLD_MAX_ATTEMPTS": "7"}
    reloading = Reloading(load(path, environ), lambda _: None, environ)
    path.write_text(GOOD + SYNC)
    reloading.look()
    reloading.look()

    assert reloading.current().syncs["household"].max_attempts == 7
    assert "balances" in reloading.current().syncs


def test_one_part_that_fails_keeps_no_other_from_the_news(watched: Watched) -> None:
    def fail(_settings: Settings) -> None:
        raise RuntimeError("no")

    watched.reloading.subscribe(fail)
    last: list[Settings] = []
    watched.reloading.subscribe(last.append)
    watched.write(GOOD + SYNC)
    watched.look()

    assert len(last) == 1
    assert watched.events[-1] == Event(
        EventKind.SERVICE_FAILED, {"service": "configuration", "error": "RuntimeError: no"}
    )


@pytest.fixture
def running(watched: Watched) -> Iterator[Watched]:
    thread = threading.Thread(target=watched.reloading.run)
    thread.start()
    yield watched
    watched.reloading.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_a_running_member_sees_a_change_within_a_second(running: Watched) -> None:
    running.write(GOOD + SYNC)

    eventually(lambda: running.told, 1.0, "the change")


def test_a_signal_reads_the_file_at_once(running: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaderjobs.config.watch.LOOK_EVERY", 60.0)
    running.write(GOOD + SYNC)
    running.reloading.read_now()

    eventually(lambda: running.told, LOOK_EVERY + 1.0, "the change")


def test_without_a_file_there_is_nothing_to_look_at() -> None:
    Reloading(Settings(), lambda _: None, {}).run()
