"""`leaderjobs schedules`, as a user types it, against a real Postgres and nobody who works."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from leaderjobs.app import explaining
from tests.cli.typed import Typed

NIGHTLY = ("--cron", "30 2 * * *", "--sync", "household", "--time-zone", "America/New_York")


def fired(
    typed: Typed, name: str, at: str, outcome: str = "enqueued", reason: str = "", job: int | None = None
) -> None:
    """What the leader would have decided."""
    typed.execute(
        """
        WITH counted AS (
            UPDATE leaderjobs.schedules
            SET counts = counts || jsonb_build_object(%(outcome)s::text, coalesce((counts ->> %(outcome)s)::int, 0) + 1)
            WHERE cluster = %(cluster)s AND name = %(name)s
        )
        INSERT INTO leaderjobs.fires (cluster, schedule, fire_time, time_zone, outcome, reason, job, term)
        VALUES (%(cluster)s, %(name)s, %(at)s, 'America/New_York', %(outcome)s, %(reason)s, %(job)s, 3)
        """,
        {"name": name, "at": at, "outcome": outcome, "reason": reason, "job": job},
    )


def configured(typed: Typed, section: str = "") -> None:
    """A schedule of the file, which no leader has read."""
    text = section or '[schedules.of-file]\nsync = "balances"\ncron = "@hourly"\n'
    typed.config.write_text(f"{typed.config.read_text()}\n{text}")


# -- adding and removing -----------------------------------------------------------------------------------


def test_a_schedule_is_added_with_everything_the_file_could_say(typed: Typed) -> None:
    more = ("--jitter", "30s", "--catch-up", "all", "--catch-up-window", "2d", "--overlap", "queue")
    spec = typed.told("schedules", "add", "nightly", *NIGHTLY, *more, "--pause-on-failure")["spec"]

    assert (spec["target"], spec["cron"], spec["time_zone"]) == (
        "household",
        "30 2 * * *",
        "America/New_York",
    )
    assert (spec["catch_up"], spec["overlap"], spec["pause_on_failure"]) == ("all", "queue", True)
    assert (spec["jitter"], spec["catch_up_window"]) == ("PT30S", "P2D")
    plain = typed.told("schedules", "add", "plain", "--cron", "@hourly", "--sync", "balances")["spec"]
    assert (plain["time_zone"], plain["catch_up"], plain["overlap"]) == ("UTC", "latest", "skip")


def test_a_schedule_of_an_operation_takes_its_arguments(typed: Typed) -> None:
    words = ("charge=ch_1", "amount=100", "reference=rent-{fire_date}")
    refund = ("--cron", "@monthly", "--operation", "billing.create_refund")
    spec = typed.told("schedules", "add", "rent", *words, *refund)["spec"]
    assert spec["target"] == "billing.create_refund"
    assert spec["arguments"] == {"charge": "ch_1", "amount": "100", "reference": "rent-{fire_date}"}
    assert "billing.create_refund amount=100 charge=ch_1" in typed.said("schedules", "show", "rent")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--sync", "household"), "--cron"),
        (("--cron", "61 * * * *", "--sync", "household"), "schedules.x.cron = "),
        (("--cron", "@hourly"), "allowed: exactly one of sync and operation"),
        (("--cron", "@hourly", "--sync", "nobody"), "schedules.x.sync = "),
        (("--cron", "@hourly", "--sync", "household", "--time-zone", "Mars"), "a name of the tz database"),
        (("--cron", "@hourly", "--sync", "household", "--jitter", "2d"), 'a duration from "0s" to "1d"'),
        (("--cron", "@hourly", "--sync", "household", "day=1"), "operations take arguments"),
        (("--cron", "@hourly", "--operation", "billing.pay_rent"), "has no operation 'pay_rent'"),
        (("--cron", "@hourly", "--operation", "billing.pay_invoice"), "invoice"),
        (("--cron", "@hourly", "--sync", "household", "--overlap", "both"), "'both' is not one of"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_in_one_line(
    typed: Typed, words: tuple[str, ...], complaint: str
) -> None:
    ran = typed("schedules", "add", "x", *words)
    assert (ran.exit_code, len(ran.stderr.splitlines())) == (2, 1), ran.output
    assert complaint in ran.stderr
    assert typed.told("schedules", "list") == []


def test_only_what_was_added_by_hand_is_removed_and_only_after_a_yes(typed: Typed) -> None:
    typed.said("schedules", "add", "nightly", *NIGHTLY)
    assert "is there already" in typed.refused("schedules", "add", "nightly", *NIGHTLY)
    assert "there is nobody to ask" in typed.refused("schedules", "remove", "nightly")
    assert typed.said("schedules", "remove", "nightly", "-y") == "schedule nightly is removed\n"
    assert "no schedule is called 'nightly'" in typed.refused("schedules", "remove", "nightly", "-y")


# -- looking -----------------------------------------------------------------------------------------------


def test_schedules_are_listed_with_their_next_and_last_fire_and_what_was_skipped(typed: Typed) -> None:
    assert typed.said("schedules", "list") == "none\n"
    configured(typed)
    typed.said("schedules", "add", "nightly", *NIGHTLY)
    fired(typed, "nightly", "2026-01-01T07:30:00Z", "missed")
    fired(typed, "nightly", "2026-01-02T07:30:00Z", "overlapped")
    fired(typed, "nightly", "2026-01-03T07:30:00Z")

    listed = {line.split()[0]: line for line in typed.said("schedules", "list").splitlines() if line.strip()}
    assert "2026-01-03 07:30:00Z enqueued" in listed["nightly"]
    assert "1 missed, 1 overlapped" in listed["nightly"]
    assert "02:30 E" in listed["nightly"], "the next fire, by the clocks of its zone"
    assert "not stored: no leader has read it" in listed["of-file"]
    stored, unread = typed.told("schedules", "list")
    assert (stored["name"], stored["last_fire"]["outcome"]) == ("nightly", "enqueued")
    assert stored["next_fire"].endswith("30:00Z")
    assert (unread["name"], unread["stored"]) == ("of-file", None)


def test_a_schedule_is_shown_in_words_with_its_last_fires_and_its_next(typed: Typed) -> None:
    typed.said("schedules", "add", "nightly", *NIGHTLY)
    fired(typed, "nightly", "2026-01-01T07:30:00Z", "refused", "sync household is not configured")
    fired(typed, "nightly", "2026-01-02T07:30:00Z", job=42)

    shown = typed.said("schedules", "show", "nightly")
    for part in (
        "schedule    nightly, of the command line",
        "At 02:30 every day, by the clocks of America/New_York",
        "catch-up    latest, within 1 d",
        "1 enqueued",
        "last fires  2026-01-01 07:30:00Z (Thu 02:30 EST)  refused by term 3: sync household is not configured",
        "            2026-01-02 07:30:00Z (Fri 02:30 EST)  enqueued by term 3: job 42",
        "next fires  20",
    ):
        assert part in shown, part
    told = typed.told("schedules", "show", "nightly")
    assert (len(told["next_fires"]), len(told["last_fires"])) == (10, 2)
    assert "did you mean nightly?" in typed.refused("schedules", "show", "nightli")


def test_the_next_fires_of_all_come_in_their_order_and_those_of_one_alone(typed: Typed) -> None:
    configured(typed)
    typed.said("schedules", "add", "nightly", *NIGHTLY)

    together = typed.told("schedules", "next", "-n", "30")
    times = [datetime.fromisoformat(each["fire_time"]) for each in together]
    assert times == sorted(times)
    assert {each["schedule"] for each in together} == {"nightly", "of-file"}
    alone = typed.told("schedules", "next", "of-file", "-n", "3")
    one, two, three = (datetime.fromisoformat(each["fire_time"]) for each in alone)
    assert (two - one, three - two, one.minute) == (timedelta(hours=1), timedelta(hours=1), 0)
    year = typed.said("schedules", "next", "nightly", "-n", "366")
    assert "02:30 EST" in year
    assert "02:30 EDT" in year
    assert "no schedule is called 'x'; known: of-file, nightly" in typed.refused("schedules", "next", "x")


def test_why_says_one_reason(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "CONNECT_PATIENCE", timedelta(milliseconds=10))
    typed.said("schedules", "add", "nightly", *NIGHTLY)
    fired(typed, "nightly", "2026-01-02T07:30:00Z", "overlapped", "job 7 has not ended")

    at = ("--at", "2026-01-02T02:30:00-05:00")
    assert typed.told("schedules", "why", "nightly", *at)["code"] == "overlapped"
    assert "job 7 has not ended" in typed.said("schedules", "why", "nightly", *at)
    assert "an instant with its zone" in typed.refused(
        "schedules", "why", "nightly", "--at", "2026-01-02T02:30"
    )


def test_lint_exits_3_when_something_is_odd(typed: Typed) -> None:
    typed.said("schedules", "add", "fine", "--cron", "7 5 * * *", "--sync", "household")
    assert typed.said("schedules", "lint") == "nothing is odd\n"
    typed.said("schedules", "add", "nightly", *NIGHTLY)

    ran = typed("schedules", "lint")
    assert ran.exit_code == 3
    assert "nightly: skipped: 02:30" in ran.stdout
    assert {
        each["schedule"] for each in json.loads(typed("schedules", "lint", "--output", "json").stdout)
    } == {"nightly"}


# -- pausing -----------------------------------------------------------------------------------------------


def test_a_paused_schedule_says_why_everywhere_and_goes_on_when_resumed(typed: Typed) -> None:
    typed.said("schedules", "add", "nightly", *NIGHTLY)
    assert "--reason" in typed.refused("schedules", "pause", "nightly")
    assert "--reason is empty" in typed.refused("schedules", "pause", "nightly", "--reason", " ")
    said = typed.said("schedules", "pause", "nightly", "--reason", "the bank is down")

    assert "@" in said
    assert "paused: the bank is down" in typed.said("schedules", "list")
    assert typed.told("schedules", "list")[0]["next_fire"] is None
    assert "PAUSED      since" in typed.said("schedules", "show", "nightly")
    assert "leaderjobs schedules resume nightly" in typed("schedules", "next", "nightly").stderr
    assert "nightly fires again" in typed.said("schedules", "resume", "nightly")
    assert "paused" not in typed.said("schedules", "list")


# -- firing by hand ----------------------------------------------------------------------------------------


def test_a_trigger_makes_a_job_of_the_schedule_also_when_it_is_paused(typed: Typed) -> None:
    typed.said("schedules", "add", "nightly", *NIGHTLY)
    typed.said("schedules", "pause", "nightly", "--reason", "the bank is down")
    made = typed.told("schedules", "trigger", "nightly")

    (job,) = typed.told("jobs", "list", "--schedule", "nightly")
    assert (made["job"], made["created"]) == (job["id"], True)
    waited = typed("schedules", "trigger", "nightly", "--wait", "--timeout", "200ms")
    assert waited.exit_code == 1
    assert "is still " in waited.stderr


def test_a_backfill_enqueues_each_past_fire_time_once(typed: Typed) -> None:
    typed.said("schedules", "add", "nightly", *NIGHTLY)
    window = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-04T00:00:00Z")
    fired(typed, "nightly", "2026-01-01T07:30:00Z", "missed")

    dry = typed.said("schedules", "backfill", "nightly", *window, "--dry-run")
    assert dry.count("would be enqueued") == 3
    assert typed.told("jobs", "list") == []
    assert "there is nobody to ask" in typed.refused("schedules", "backfill", "nightly", *window)
    fires = typed.told("schedules", "backfill", "nightly", *window, "-y")["fires"]
    assert [each["fire_time"] for each in fires] == [f"2026-01-0{day}T07:30:00Z" for day in (1, 2, 3)]
    assert [each["before"] for each in fires] == ["missed", None, None]
    again = typed.told("schedules", "backfill", "nightly", *window, "-y")["fires"]
    assert all(each["reason"] for each in again)
    assert len(typed.told("jobs", "list", "--schedule", "nightly")) == 3
    turned = typed.refused("schedules", "backfill", "nightly", window[0], window[3], window[2], window[1])
    assert "--from must be before --to" in turned
