"""What is kept of jobs: their lines and attempts, and the notices of targets that break and work again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from leaderjobs import clock, logs
from leaderjobs.model.history import NewLine
from leaderjobs.model.notice import HookEvent
from leaderjobs.store import history as kept
from leaderjobs.store.history import History
from leaderjobs.store.notices import Notices
from tests.integration.store.rig import Admin, Cluster, Led

NOW = clock.now()


def said(job: int, *lines: str, attempt: int = 1, left_out: int = 0) -> list[NewLine]:
    return [
        NewLine(job, attempt, NOW, line, left_out if place == 0 else 0) for place, line in enumerate(lines)
    ]


def history(cluster: Cluster) -> History:
    return History(cluster.database, cluster.name, logs.redacted)


def test_lines_come_back_in_the_order_in_which_they_were_said_job_by_job(cluster: Cluster) -> None:
    led, stored = cluster.lead(), history(cluster)
    numbers = [str(number) for number in range(50)]
    stored.add(led.connections, led.term, said(1, *numbers[:20]) + said(2, "other"))
    stored.add(led.connections, led.term, said(1, *numbers[20:], attempt=2))

    lines = stored.lines(1)
    assert [line.line for line in lines] == numbers
    assert [line.attempt for line in lines] == [1] * 20 + [2] * 30
    assert [line.line for line in stored.lines(1, lines[9].n, 3)] == ["10", "11", "12"]
    assert [line.line for line in stored.lines(2)] == ["other"]


def test_of_an_attempt_the_newest_lines_stay_with_a_note_of_what_went(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_LINES", 5)
    led, stored = cluster.lead(), history(cluster)
    stored.add(led.connections, led.term, said(1, "of another attempt"))
    for begin in range(0, 12, 4):
        lines = said(1, *(str(n) for n in range(begin, begin + 4)), attempt=2, left_out=10 if begin else 0)
        stored.add(led.connections, led.term, lines, [(1, 2)])

    assert [line.line for line in stored.lines(1)] == [
        "of another attempt",
        # 10 before line 4, 7 lines that were trimmed; 10 more before line 8.
        "… 17 lines left out",
        "7",
        "… 10 lines left out",
        *"89",
        "10",
        "11",
    ]


def test_a_line_holds_no_secret_and_nothing_that_postgres_cannot_store(cluster: Cluster) -> None:
    logs.redact("tell-nobody-4711")
    led, stored = cluster.lead(), history(cluster)
    stored.add(led.connections, led.term, said(1, "it is tell-nobody-4711\0", "postgres://a:b@c/d"))
    assert [line.line for line in stored.lines(1)] == ["it is ***�", "postgres://a:***@c/d"]


def test_another_cluster_sees_nothing_of_it(cluster: Cluster) -> None:
    led = cluster.lead()
    history(cluster).add(led.connections, led.term, said(1, "hello"))
    assert History(cluster.database, "other").lines(1) == []


def test_attempts_are_those_that_failed_and_the_one_that_did_it(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.enqueue()
    admin.execute(
        "UPDATE leaderjobs.jobs SET state = 'running', attempt = 1, term = 1, member = %s, started_at = now() "
        "WHERE id = %s",
        (led.term.member, job.id),
    )
    insert = (
        "INSERT INTO leaderjobs.attempts (cluster, job, attempt, term, member, started_at, ended_at, outcome, error) "
        "VALUES ('acme', %s, 1, 1, 'm', now() - interval '5 s', now() - interval '3 s', %s, %s)"
    )
    admin.execute(insert, (job.id, "retried", "down"))
    admin.execute(insert, (job.id, "given_back", None))

    first, second, running = history(cluster).attempts(job.id)
    assert (first.outcome, first.error, first.duration) == ("retried", "down", timedelta(seconds=2))
    assert second.outcome == "given_back"
    assert (running.outcome, running.member, running.duration) == ("running", led.term.member, None)

    admin.execute(
        "UPDATE leaderjobs.jobs SET state = 'completed', finished_at = started_at + interval '7 s' WHERE id = %s",
        (job.id,),
    )
    assert history(cluster).attempts(job.id)[-1].duration == timedelta(seconds=7)
    assert history(cluster).attempts(job.id)[-1].outcome == "completed"
    assert History(cluster.database, "other").attempts(job.id) == []


# -- breaches ------------------------------------------------------------------------------------------------


def ends(cluster: Cluster, admin: Admin, *states: str, target: str = "sync") -> None:
    """Jobs of a target that end so, all of them in one transaction, in this order."""
    ids = []
    for state in states:
        job = cluster.enqueue()
        ids.append(job.id)
        admin.execute(
            "UPDATE leaderjobs.jobs SET state = %s, target = %s, error = 'boom', finished_at = now(), attempt = 3, "
            "term = 7, member = 'm', schedule = 'hourly' WHERE id = %s",
            (state, target, job.id),
        )
    admin.execute("SELECT leaderjobs.after_ended('acme', %s)", (ids,))


def told(cluster: Cluster) -> list[tuple[str, str]]:
    return [
        (each.notice.event.value, each.notice.target)
        for each in Notices(cluster.database, cluster.name).pending(["anybody"], 100)
    ]


def test_a_breach_is_told_once_and_so_is_its_end(cluster: Cluster, admin: Admin) -> None:
    notices = Notices(cluster.database, cluster.name)
    ends(cluster, admin, "completed")
    assert told(cluster) == []
    ends(cluster, admin, "discarded")
    ends(cluster, admin, "discarded")
    ends(cluster, admin, "completed", target="another")
    ends(cluster, admin, "cancelled")
    assert told(cluster) == [("failure", "sync")]
    assert [breach.target for breach in notices.breaches()] == ["sync"]

    ends(cluster, admin, "completed")
    ends(cluster, admin, "completed")

    assert told(cluster) == [("failure", "sync"), ("recovery", "sync")]
    assert notices.breaches() == []
    failure, recovery = (each.notice for each in notices.pending(["anybody"], 100))
    assert (failure.event, failure.error, failure.schedule) == (HookEvent.FAILURE, "boom", "hourly")
    assert (failure.attempt, failure.term, failure.member) == (3, 7, "m")
    assert (recovery.event, recovery.error, recovery.since) == (HookEvent.RECOVERY, "", failure.since)
    assert recovery.job != failure.job


@pytest.mark.parametrize(
    ("states", "events"),
    [
        (["completed", "discarded"], ["failure"]),
        (["discarded", "completed"], ["failure", "recovery"]),
        (["discarded", "completed", "discarded"], ["failure", "recovery", "failure"]),
    ],
)
def test_what_ends_in_one_transaction_counts_in_the_order_of_its_end(
    cluster: Cluster, admin: Admin, states: list[str], events: list[str]
) -> None:
    ends(cluster, admin, *states)
    assert [event for event, _ in told(cluster)] == events


def test_a_notice_is_pending_until_every_hook_was_told(cluster: Cluster, admin: Admin) -> None:
    led: Led = cluster.lead()
    notices = Notices(cluster.database, cluster.name)
    ends(cluster, admin, "discarded")
    (pending,) = notices.pending(["a", "b"], 10)
    for _ in range(2):
        notices.told(led.connections, led.term, [pending.notice.id], "a")

    assert notices.pending(["a"], 10) == []
    assert [each.told for each in notices.pending(["a", "b"], 10)] == [{"a"}]
    notices.told(led.connections, led.term, [pending.notice.id], "b")
    assert notices.pending(["a", "b"], 10) == []


def test_old_notices_go_whoever_was_told(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    notices = Notices(cluster.database, cluster.name)
    for target in ("old", "older", "new"):
        ends(cluster, admin, "discarded", target=target)
    admin.execute("UPDATE leaderjobs.notices SET at = now() - interval '8 days' WHERE target LIKE 'old%'")

    assert notices.prune(led.connections, led.term, timedelta(days=7), 1) == 1
    assert notices.prune(led.connections, led.term, timedelta(days=7), 10) == 1
    assert told(cluster) == [("failure", "new")]
