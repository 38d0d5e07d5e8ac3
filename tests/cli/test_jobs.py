"""`leaderjobs jobs`, as a user types it, against a real Postgres and nobody who works."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import psycopg
import pytest

from leaderjobs import clock
from leaderjobs.app import explaining
from leaderjobs.store import job_admin
from leaderjobs.store.job_admin import JobFilter
from tests.cli.typed import Typed
from tests.support import eventually


def ids(found: list[dict[str, int]]) -> list[int]:
    return [each["id"] for each in found]


def operation(typed: Typed) -> tuple[int, str]:
    """The job of a planned operation, and the beginning of its effect's id."""
    asked = typed.told("enqueue", "billing.pay_invoice", "invoice=in_123")
    return asked["job"], asked["effect"]["id"][:8]


# -- looking -----------------------------------------------------------------------------------------------


def test_jobs_are_listed_newest_first_and_filtered_by_what_is_known_of_them(typed: Typed) -> None:
    assert typed.said("jobs", "list") == "none\n"
    first, second = typed.enqueue(), typed.told("enqueue", "balances")["job"]["id"]
    typed.become(first, "discarded", "ITEM_LOGIN_REQUIRED: the user must log in")

    assert ids(typed.told("jobs", "list")) == [second, first]
    for words, found in (
        (("--state", "discarded"), [first]),
        (("--state", "available", "--state", "discarded"), [second, first]),
        (("--target", "balances"), [second]),
        (("--connection", "household"), [second, first]),
        (("--connection", "billing"), []),
        (("--schedule", "nightly"), []),
        (("--error", "login_REQUIRED"), [first]),
        (("--error", "%"), []),
        (("--since", "1h"), [second, first]),
        (("--until", "1h"), []),
        (("--since", "2036-01-01T00:00:00Z"), []),
        (("--limit", "1"), [second]),
    ):
        assert ids(typed.told("jobs", "list", *words)) == found, words
    shown = typed.said("jobs", "list")
    assert "ITEM_LOGIN_REQUIRED: the user must log in" in shown
    assert "3/20" in shown


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("list", "--since", "yesterday"), "'yesterday': allowed: how long ago, such as 2h"),
        (("list", "--state", "lost"), "'lost' is not one of"),
        (("list", "--limit", "0"), "1<=x<=1000"),
        (("show", "first"), "'first'"),
        (("show", "9999999"), "has no job 9999999"),
        (("logs", "9999999"), "has no job 9999999"),
        (("retry",), "name jobs by their ids, or say which ones with filters"),
        (("cancel", "--dry-run"), "name jobs by their ids, or say which ones with filters"),
        (("prune",), "--older-than"),
        (("prune", "--older-than", "1d", "--state", "running"), "'running' is not one of"),
    ],
)
def test_what_is_wrong_is_one_line(typed: Typed, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in typed.refused("jobs", *words)


def test_a_job_is_shown_with_everything_that_is_known(typed: Typed) -> None:
    job = typed.enqueue("--key", "nightly", "--priority", "2")
    typed.become(job, "running")
    typed.execute(
        """
        UPDATE leaderjobs.jobs SET progress_stream = 'transactions', progress_pages = 3, progress_rows = 1500,
               progress_stream_rows = 1200, progress_total = 4000, schedule = 'nightly', fire_time = '2026-01-01Z'
        WHERE id = %(job)s
        """,
        {"job": job},
    )
    typed.execute(
        """
        INSERT INTO leaderjobs.attempts (cluster, job, attempt, term, member, started_at, ended_at, outcome, error)
        VALUES (%(cluster)s, %(job)s, 2, 6, 'web2', now() - interval '90 s', now(), 'retried', 'HTTP 503')
        """,
        {"job": job},
    )

    shown = typed.said("jobs", "show", str(job))
    for part in (
        f"job         {job}",
        "streams     accounts, transactions",
        "key         nightly",
        "schedule    nightly, fire time 2026-01-01 00:00:00Z",
        "priority    2",
        "attempt     3 of 20",
        "in term 7 by web1",
        "1,500 rows in 3 pages; 1,200 of 4,000 of transactions",
        "in term 6 by web2: retried, 1 min 30 s\n            HTTP 503",
        "in term 7 by web1: running",
    ):
        assert part in shown, part
    told = typed.told("jobs", "show", str(job))
    assert (told["job"]["id"], told["cancelled_by"]) == (job, "")
    assert [each["outcome"] for each in told["attempts"]] == ["retried", "running"]


def test_why_is_one_line_and_a_word_for_scripts(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "CONNECT_PATIENCE", timedelta(milliseconds=10))
    job = typed.enqueue()
    typed.become(job, "completed")

    assert len(typed.said("jobs", "why", str(job)).splitlines()) == 1
    assert typed.told("jobs", "why", str(job))["code"] == "completed"


# -- logs --------------------------------------------------------------------------------------------------


def say(typed: Typed, job: int, *lines: str) -> None:
    for line in lines:
        typed.execute(
            """
            INSERT INTO leaderjobs.job_lines (cluster, job, attempt, at, line)
            VALUES (%(cluster)s, %(job)s, 1, now(), %(line)s)
            """,
            {"job": job, "line": line},
        )


def test_logs_show_every_line_in_its_order(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    from leaderjobs.cli import jobs

    monkeypatch.setattr(jobs, "LINES_AT_ONCE", 2)
    job = typed.enqueue()
    assert typed.said("jobs", "logs", str(job)) == ""
    say(typed, job, "one", "two", "three")

    assert [line.split()[-1] for line in typed.said("jobs", "logs", str(job)).splitlines()] == [
        "one",
        "two",
        "three",
    ]
    typed.become(job, "completed")
    assert typed.said("jobs", "logs", str(job), "--follow").count("\n") == 3
    first = typed.said("jobs", "logs", str(job), "--output", "json").splitlines()[0]
    assert '"line":"one"' in first


def test_following_goes_on_until_the_job_has_ended(typed: Typed) -> None:
    job, followed = typed.enqueue(), []
    follower = threading.Thread(
        target=lambda: followed.append(typed.said("jobs", "logs", str(job), "-f")), daemon=True
    )
    follower.start()
    say(typed, job, "while it runs")
    assert follower.is_alive()
    typed.become(job, "discarded", "it failed")
    typed.execute("SELECT pg_notify('leaderjobs', %(cluster)s)")

    eventually(lambda: followed, what="the job's end to be seen")
    assert "while it runs" in followed[0]


# -- trying again ------------------------------------------------------------------------------------------


def test_a_job_is_tried_again_with_all_of_its_attempts(typed: Typed) -> None:
    job = typed.enqueue()
    typed.become(job, "discarded", "HTTP 500")

    assert typed.said("jobs", "retry", str(job)) == "retried 1 job\n"

    again = typed.told("jobs", "show", str(job))["job"]
    assert (again["state"], again["attempt"], again["finished_at"]) == ("available", 0, None)
    assert datetime.fromisoformat(again["scheduled_at"]) <= clock.now()


def test_jobs_that_cannot_be_tried_again_are_left_alone_and_named(typed: Typed) -> None:
    running, (failed, effect) = typed.enqueue(), operation(typed)
    typed.become(running, "running")
    typed.become(failed, "discarded")
    ran = typed("jobs", "retry", str(running), str(failed), "999999999")

    assert ran.exit_code == 1
    assert ran.stdout == "retried 0 jobs\n"
    assert f"job {running} (household) is left alone: it is running; only" in ran.stderr
    assert f"it is an operation's: leaderjobs effects retry {effect}" in ran.stderr
    assert "job 999999999 is left alone: there is no such job" in ran.stderr
    assert typed.state(failed) == "discarded"


def test_of_jobs_with_one_key_only_the_newest_is_tried_again(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key belongs to one unfinished job, also when its jobs are in different bites."""
    monkeypatch.setattr(job_admin, "MOST_AT_ONCE", 1)
    jobs = []
    for _ in range(3):
        jobs.append(typed.enqueue("--key", "nightly"))
        typed.become(jobs[-1], "discarded")
    told = typed.told("jobs", "retry", "--target", "household", "--dry-run")
    assert (told["jobs"], told["refused"]) == ([jobs[2]], 2)

    told = typed.told("jobs", "retry", "--target", "household", "-y")

    assert (told["count"], told["jobs"]) == (1, [jobs[2]])
    assert [each["reason"] for each in told["refusals"]] == [
        f"its key 'nightly' is held by job {jobs[2]}"
    ] * 2
    assert [typed.state(job) for job in jobs] == ["discarded", "discarded", "available"]
    assert "cannot be retried" in typed("jobs", "retry", str(jobs[0])).stderr


def test_a_key_that_is_taken_meanwhile_is_looked_up_again(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = typed.enqueue("--key", "nightly")
    typed.become(failed, "discarded")
    with typed.stores() as stores:
        looked = stores.job_admin._keys_held
        taken: list[int] = []

        def look(jobs: object) -> dict[str, int]:
            found = looked(jobs)  # type: ignore[arg-type]  # handed on
            if not taken:
                taken.append(typed.enqueue("--key", "nightly"))
            return found

        monkeypatch.setattr(stores.job_admin, "_keys_held", look)
        changed = stores.job_admin.retry(JobFilter(ids=(failed,)))

    assert (changed.count, changed.refusals[0].reason) == (0, f"its key 'nightly' is held by job {taken[0]}")


def test_many_are_tried_again_in_bites_and_the_leader_is_woken(
    typed: Typed, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_admin, "MOST_AT_ONCE", 3)
    jobs = [typed.enqueue() for _ in range(7)]
    for job in jobs[:6]:
        typed.become(job, "discarded", "HTTP 500")
    typed.become(jobs[6], "cancelled")
    dry = typed.said("jobs", "retry", "--error", "http 500", "--dry-run")
    assert dry == "would retry 6 jobs\n"
    assert typed.state(jobs[0]) == "discarded"
    with psycopg.connect(migrated_url, autocommit=True) as listening:
        listening.execute("LISTEN leaderjobs")
        assert typed.said("jobs", "retry", "--target", "household", "-y") == "retried 6 jobs\n"
        told = {note.payload for note in listening.notifies(timeout=1, stop_after=1)}

    assert told == {f"{typed.cluster} rescan"}
    assert typed.state(jobs[6]) == "cancelled", "without --state only discarded ones are meant"
    assert (
        typed.said("jobs", "retry", "--state", "cancelled", "--target", "household", "-y")
        == "retried 1 job\n"
    )


def test_bulk_changes_need_a_yes_where_nobody_can_be_asked(typed: Typed) -> None:
    job = typed.enqueue()
    typed.become(job, "discarded")
    for words in (
        ("retry", "--target", "household"),
        ("prune", "--older-than", "0s", "--state", "discarded"),
    ):
        assert "there is nobody to ask; look with --dry-run, then give -y" in typed.refused("jobs", *words)
    assert typed.state(job) == "discarded"


def test_more_than_one_call_may_change_is_told(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_admin, "MOST_CHANGED", 2)
    for _ in range(3):
        typed.become(typed.enqueue(), "discarded")
    ran = typed("jobs", "retry", "--target", "household", "-y")

    assert (ran.exit_code, ran.stdout) == (0, "retried 2 jobs\n")
    assert "there are more; run it again" in ran.stderr
    assert typed.said("jobs", "retry", "--target", "household", "-y") == "retried 1 job\n"


# -- cancelling --------------------------------------------------------------------------------------------


def test_what_waits_is_cancelled_at_once_and_what_runs_is_asked_to_end(
    typed: Typed, migrated_url: str
) -> None:
    waiting, running, done = typed.enqueue("--in", "1h"), typed.enqueue(), typed.enqueue()
    typed.become(running, "running")
    typed.become(done, "completed")
    assert typed.said("jobs", "cancel", "--target", "household", "--dry-run").startswith(
        "would cancel 2 jobs"
    )
    with psycopg.connect(migrated_url, autocommit=True) as listening:
        listening.execute("LISTEN leaderjobs")
        said = typed.said("jobs", "cancel", "--target", "household", "-y")
        told = {note.payload for note in listening.notifies(timeout=1, stop_after=2)}

    assert said == "cancelled 2 jobs, 1 of them at the end of a page\n"
    assert told == {typed.cluster, f"{typed.cluster} cancel"}
    ended = typed.told("jobs", "show", str(waiting))
    assert ended["job"]["state"] == "cancelled"
    assert ended["job"]["finished_at"] is not None
    assert "@" in ended["cancelled_by"]
    asked = typed.told("jobs", "show", str(running))
    assert (asked["job"]["state"], asked["job"]["finished_at"]) == ("running", None)
    assert asked["job"]["cancel_requested_at"] is not None
    assert typed.state(done) == "completed"


def test_a_job_that_has_ended_or_is_an_operation_s_is_not_cancelled(typed: Typed) -> None:
    done, (planned, effect) = typed.enqueue(), operation(typed)
    typed.become(done, "completed")
    ran = typed("jobs", "cancel", str(done), str(planned))

    assert ran.exit_code == 1
    assert f"job {done} (household) is left alone: it is completed already" in ran.stderr
    assert f"leaderjobs effects cancel {effect}" in ran.stderr
    assert typed.state(planned) == "available"


def test_cancelling_can_wait_for_the_end(typed: Typed) -> None:
    job = typed.enqueue()
    typed.become(job, "running")
    ran = typed("jobs", "cancel", str(job), "--wait", "--timeout", "300ms")
    assert (ran.exit_code, f"job {job} is still running" in ran.stderr) == (1, True)

    typed.become(job, "cancelled")
    again = typed("jobs", "cancel", str(job), "--wait")
    assert (again.exit_code, "it is cancelled already" in again.stderr) == (1, True)


# -- deleting ----------------------------------------------------------------------------------------------


def test_old_jobs_are_deleted_with_their_past_and_discarded_ones_only_when_asked(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_admin, "PRUNED_AT_ONCE", 2)
    jobs: dict[str, list[int]] = {}
    for state in ("completed", "completed", "completed", "cancelled", "discarded", "available"):
        jobs.setdefault(state, []).append(job := typed.enqueue())
        typed.become(job, state)
        say(typed, job, "said")
    typed.execute(
        "UPDATE leaderjobs.jobs SET finished_at = finished_at - interval '3 days' WHERE cluster = %(cluster)s"
    )
    fresh = typed.enqueue()
    typed.become(fresh, "completed")

    dry = typed.said("jobs", "prune", "--older-than", "2d", "--dry-run")
    assert dry == "would delete 4 jobs (3 completed, 1 cancelled)\n"
    told = typed.told("jobs", "prune", "--older-than", "2d", "-y")
    assert told["deleted"] == {"completed": 3, "cancelled": 1}
    left = [*jobs["discarded"], *jobs["available"], fresh]
    assert sorted(ids(typed.told("jobs", "list"))) == sorted(left)
    with typed.stores() as stores:
        assert stores.history.lines(jobs["completed"][0]) == []
        assert len(stores.history.lines(jobs["discarded"][0])) == 1
    asked = typed.said("jobs", "prune", "--older-than", "2d", "--state", "discarded", "-y")
    assert asked == "deleted 1 job (1 discarded)\n"


def test_nothing_of_another_cluster_is_touched(typed: Typed) -> None:
    job = typed.enqueue()
    typed.become(job, "discarded")
    typed.execute(
        "UPDATE leaderjobs.jobs SET cluster = 'other-' || cluster, finished_at = now() - interval '9 days' WHERE id = %(job)s",
        {"job": job},
    )

    assert "there is no such job" in typed("jobs", "retry", str(job)).stderr
    assert typed.said("jobs", "retry", "--state", "discarded", "-y") == "retried 0 jobs\n"
    assert (
        typed.said("jobs", "prune", "--older-than", "1d", "--state", "discarded", "-y") == "deleted 0 jobs\n"
    )
