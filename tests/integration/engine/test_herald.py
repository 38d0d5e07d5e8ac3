"""Hooks are told what breaks and what works again, once each, and nothing waits for them."""

from __future__ import annotations

import dataclasses
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from leaderjobs.app.telling import hook
from leaderjobs.backoff import Backoff
from leaderjobs.config.settings import HookSettings
from leaderjobs.engine import herald
from leaderjobs.engine.herald import Herald, Hook
from leaderjobs.errors import Interrupted, StoreUnavailable, TransientError
from leaderjobs.model.event import Event, EventKind
from leaderjobs.model.notice import HookEvent
from leaderjobs.store.notices import Notices
from leaderjobs.store.pool import Database
from leaderjobs.values import Duration, Secret
from tests.integration.store.rig import Cluster, Led
from tests.support import eventually
from tests.unit.connectors.receiving import receiving

BOTH = frozenset(HookEvent)


@dataclass
class Listener:
    """Takes what it is told, unless `answers` has something else: an error, or what to do first."""

    answers: list[Exception | Callable[[], None]] = field(default_factory=list)
    told: list[dict[str, object]] = field(default_factory=list)
    asked: int = 0
    cuts: threading.Event = field(default_factory=threading.Event)

    def tell(self, document: bytes) -> str:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            answer()
        self.told.append(json.loads(document))
        return "thanks"

    def cut(self) -> None:
        self.cuts.set()

    @property
    def events(self) -> list[tuple[object, object]]:
        return [(each["event"], each["target"]) for each in self.told]


@dataclass
class Hall:
    """A cluster whose jobs end as a test says, and its heralds."""

    cluster: Cluster
    notices: Notices
    hooks: list[Hook] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    heralds: list[tuple[Herald, threading.Thread]] = field(default_factory=list)

    def listener(
        self,
        name: str = "ops",
        on: frozenset[HookEvent] = BOTH,
        targets: frozenset[str] = frozenset(),
    ) -> Listener:
        made = Listener()
        self.hooks.append(Hook(name, on, targets, made))
        return made

    def ends(self, state: str, target: str = "sync", schedule: str | None = None) -> None:
        """A job ends so, and what hooks have to be told is written with it."""
        job = self.cluster.enqueue()
        with self.cluster.database.session() as connection:
            connection.execute(
                "UPDATE leaderjobs.jobs SET state = %s, target = %s, schedule = %s, error = 'boom', "
                "attempt = 3, term = 7, member = 'm', finished_at = now() WHERE id = %s",
                (state, target, schedule, job.id),
            )
            connection.execute("SELECT leaderjobs.after_ended(%s, %s)", (self.cluster.name, [job.id]))

    def lead(self) -> tuple[Led, Herald]:
        """A new term, and its herald at work."""
        led = self.cluster.lead()
        made = Herald(
            term=led.term,
            connections=led.connections,
            notices=self.notices,
            hooks=lambda: list(self.hooks),
            emit=self.events.append,
        )
        thread = threading.Thread(target=made.run)
        thread.start()
        self.heralds.append((made, thread))
        return led, made

    def saw(self, kind: EventKind) -> list[Event]:
        return [event for event in self.events if event.kind is kind]

    def untold(self, name: str = "ops") -> int:
        return len(self.notices.pending([name], 1000))


@contextmanager
def opened(url: str, name: str) -> Iterator[Hall]:
    with closing(Database(url, application="test")) as database:
        hall = Hall(Cluster(database, name), Notices(database, name))
        try:
            yield hall
        finally:
            for made, _ in hall.heralds:
                made.stop()
            for _, thread in hall.heralds:
                thread.join(10)
                assert not thread.is_alive()
            eventually(lambda: not any(each.name.startswith("hook-") for each in threading.enumerate()))
            hall.cluster.close()


@pytest.fixture
def hall(migrated_url: str, cluster_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    soon = timedelta(milliseconds=20)
    monkeypatch.setattr(herald, "LOOK_EVERY", soon)
    monkeypatch.setattr(herald, "TELLS", Backoff(soon, soon))
    with opened(migrated_url, cluster_name) as made:
        yield made


def test_a_breach_and_its_end_are_told_once_each_with_all_there_is_to_know(hall: Hall) -> None:
    listener = hall.listener()
    hall.lead()
    for state in ("discarded", "discarded", "completed", "completed"):
        hall.ends(state, schedule="hourly")

    eventually(lambda: len(listener.told) >= 2 and not hall.untold())
    failure, recovery = listener.told
    names = "id event cluster target schedule job attempt term member error at since"
    assert list(failure) == names.split()
    assert (failure["event"], failure["cluster"], failure["error"]) == ("failure", hall.cluster.name, "boom")
    assert (failure["schedule"], failure["attempt"], failure["term"]) == ("hourly", 3, 7)
    assert (recovery["event"], recovery["error"], recovery["since"]) == ("recovery", "", failure["since"])
    assert [event.facts["output"] for event in hall.saw(EventKind.HOOK_TOLD)] == ["thanks", "thanks"]


def test_every_hook_hears_what_it_wants_of_what_it_cares_for(hall: Hall) -> None:
    failures = hall.listener("failures", frozenset({HookEvent.FAILURE}))
    of_b = hall.listener("of_b", targets=frozenset({"b", "nightly"}))
    hall.lead()
    hall.ends("discarded", "a")
    hall.ends("completed", "a")
    hall.ends("discarded", "b")
    hall.ends("discarded", "c", schedule="nightly")

    eventually(lambda: not hall.untold("failures") and not hall.untold("of_b"))
    assert failures.events == [("failure", "a"), ("failure", "b"), ("failure", "c")]
    assert of_b.events == [("failure", "b"), ("failure", "c")]


def test_what_is_not_taken_is_told_again_in_the_order_of_its_target_and_does_not_hold_up_others(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herald, "TELLS", Backoff(timedelta(seconds=1), timedelta(seconds=1)))
    listener, healthy = hall.listener(), hall.listener("healthy")
    listener.answers = [TransientError("answered 500"), ZeroDivisionError("bug")]
    hall.ends("discarded", "a")
    hall.ends("completed", "a")
    hall.ends("discarded", "b")
    hall.lead()

    eventually(lambda: not hall.untold() and not hall.untold("healthy"))
    assert healthy.events == [("failure", "a"), ("recovery", "a"), ("failure", "b")]
    assert sorted(listener.events) == sorted(healthy.events)
    assert listener.events.index(("failure", "a")) < listener.events.index(("recovery", "a"))
    assert listener.asked == 5
    errors = [event.facts["error"] for event in hall.saw(EventKind.HOOK_FAILED)]
    assert errors == ["answered 500", "ZeroDivisionError"]


def test_it_is_given_up_after_many_tries_and_said_so(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herald, "MOST_TELLS", 3)
    listener = hall.listener()
    listener.answers = [TransientError("answered 500") for _ in range(9)]
    hall.ends("discarded")
    hall.lead()

    eventually(lambda: not hall.untold())
    assert (listener.asked, listener.told) == (3, [])
    (event,) = hall.saw(EventKind.HOOK_GIVEN_UP)
    assert (event.facts["hook"], event.facts["tries"], event.facts["target"]) == ("ops", 3, "sync")


def test_what_is_a_day_old_is_given_up(hall: Hall) -> None:
    listener = hall.listener()
    hall.ends("discarded")
    with hall.cluster.database.session() as connection:
        connection.execute("UPDATE leaderjobs.notices SET at = now() - interval '25 hours'")
    hall.lead()

    eventually(lambda: not hall.untold())
    assert listener.asked == 0
    assert hall.saw(EventKind.HOOK_GIVEN_UP)


def test_the_next_leader_tells_what_its_predecessor_did_not(hall: Hall) -> None:
    """Cut off in the middle, so whether it arrived is unknown: it is told again, with the same id."""
    listener = hall.listener()

    def interrupted() -> None:
        assert listener.cuts.wait(20)
        raise Interrupted("was cut off")

    listener.answers = [interrupted]
    hall.ends("discarded")
    _, first = hall.lead()
    eventually(lambda: listener.asked)
    first.stop()
    first.stop()
    assert hall.untold() == 1
    hall.lead()

    eventually(lambda: not hall.untold())
    ids = [each["id"] for each in listener.told]
    assert len(ids) == 1
    assert listener.asked == 2


def test_a_hook_that_hangs_holds_up_neither_the_others_nor_the_end_of_the_term(hall: Hall) -> None:
    hanging, healthy = hall.listener(), hall.listener("healthy")
    free = threading.Event()

    def hangs() -> None:
        assert free.wait(30)

    hanging.answers = [hangs]
    hall.ends("discarded", "a")
    _, made = hall.lead()
    eventually(lambda: hanging.asked)
    hall.ends("discarded", "b")
    eventually(lambda: len(healthy.told) == 2)

    made.stop()
    hall.heralds[0][1].join(5)
    assert not hall.heralds[0][1].is_alive()
    assert hanging.cuts.is_set()
    free.set()


def test_where_postgres_does_not_answer_after_the_telling_it_is_not_told_twice(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = hall.listener()
    told, lost = Notices.told, iter([True, True])

    def losing(self: Notices, *arguments: object) -> None:
        if next(lost, False):
            raise StoreUnavailable("the connection to Postgres broke")
        told(self, *arguments)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(Notices, "told", losing)
    monkeypatch.setattr(herald, "_TROUBLE", Backoff(timedelta(milliseconds=20), timedelta(milliseconds=20)))
    hall.ends("discarded")
    hall.lead()

    eventually(lambda: not hall.untold())
    assert listener.asked == 1
    assert len(hall.saw(EventKind.SERVICE_FAILED)) == 2


def test_a_webhook_of_the_configuration_is_told_until_it_takes_it_once_a_breach(hall: Hall) -> None:
    settings = HookSettings("ops", secret=Secret(literal="whsec-4711"), timeout=Duration(seconds=20))
    with receiving() as receiver:
        receiver.answers = [500]
        hall.hooks.append(hook(dataclasses.replace(settings, url=receiver.url)))
        hall.lead()
        for state in ("discarded", "discarded", "completed"):
            hall.ends(state)
        eventually(lambda: len(hall.saw(EventKind.HOOK_TOLD)) == 2 and not hall.untold())

    told = [json.loads(body) for _, _, body in receiver.got]
    assert [each["event"] for each in told] == ["failure", "failure", "recovery"]
    assert told[0] == told[1], "what is told again is the same, and has the same id"
    for _, headers, body in receiver.got:
        stamp, proof = (part.partition("=")[2] for part in headers["leaderjobs-signature"].split(","))
        assert proof == hmac.new(b"whsec-4711", stamp.encode() + b"." + body, "sha256").hexdigest()
    assert "whsec" not in str(hall.events)
    assert "SECRETPATH" not in str(hall.events)


def test_a_command_of_the_configuration_is_told(hall: Hall, tmp_path: Path) -> None:
    place = tmp_path / "got"
    settings = HookSettings(
        "ops", command=("/bin/sh", "-c", 'cat > "$0" && echo noted', str(place)), timeout=Duration(seconds=20)
    )
    hall.hooks.append(hook(settings))
    hall.ends("discarded")
    hall.lead()

    (event,) = eventually(lambda: hall.saw(EventKind.HOOK_TOLD))
    assert event.facts["output"] == "noted"
    assert json.loads(place.read_bytes())["event"] == "failure"


def test_old_notices_are_deleted(hall: Hall) -> None:
    hall.ends("discarded")
    count = "SELECT FROM leaderjobs.notices WHERE cluster = %s"
    with hall.cluster.database.session() as connection:
        connection.execute("UPDATE leaderjobs.notices SET at = now() - interval '8 days'")
        hall.lead()
        eventually(
            lambda: connection.execute(count, (hall.cluster.name,)).rowcount == 0,
            what="the old notice to go",
        )
