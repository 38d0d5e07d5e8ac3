"""`select leaderjobs.enqueue(…)`: a sync goes into the queue from any SQL, by an ordinary role, with its transaction."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.errors import FencedOut
from leaderjobs.model.job import JobState, NewJob, OnConflict
from leaderjobs.model.sync import Sync
from leaderjobs.store.syncs import Syncs
from tests.integration.asking_rig import CLUSTER, Asking, asking

Connection = psycopg.Connection[dict[str, Any]]


@pytest.fixture(scope="module")
def asked(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(postgres_server, "enqueue_sql", tmp_path_factory.mktemp("enqueue_sql")) as made:
        made.publish()
        with psycopg.connect(made.url, autocommit=True) as owner:
            owner.execute(
                """
                CREATE ROLE clerk;
                GRANT USAGE ON SCHEMA leaderjobs TO clerk;
                GRANT EXECUTE ON FUNCTION leaderjobs.enqueue TO clerk;
                """
            )
        yield made
        with psycopg.connect(made.url, autocommit=True) as owner:
            owner.execute("DROP OWNED BY clerk; DROP ROLE clerk")


@pytest.fixture
def owner(asked: Asking) -> Iterator[Connection]:
    with closing(psycopg.connect(asked.url, autocommit=True, row_factory=dict_row)) as connection:
        connection.execute("TRUNCATE leaderjobs.jobs CASCADE")
        yield connection


@pytest.fixture
def clerk(owner: Connection, asked: Asking) -> Iterator[Connection]:
    """A role that may enqueue, and nothing else."""
    del owner
    with closing(
        psycopg.connect(asked.url, options="-c role=clerk", autocommit=True, row_factory=dict_row)
    ) as connection:
        yield connection


def ask(connection: Connection, target: str = "household", **given: object) -> int:
    words = "".join(f", {name} => %({name})s" for name in given)
    found = connection.execute(
        f"SELECT leaderjobs.enqueue(%(target)s, cluster => '{CLUSTER}'{words}) AS id".encode(),
        {"target": target, **given},
    ).fetchone()
    assert found is not None
    return int(found["id"])


def refused(connection: Connection, target: str = "household", **given: object) -> str:
    with pytest.raises(psycopg.Error) as raised:
        ask(connection, target, **given)
    assert raised.value.sqlstate == "LJ003", raised.value
    return raised.value.diag.message_primary or ""


def test_a_sync_is_enqueued_as_it_is_configured(clerk: Connection, asked: Asking) -> None:
    job = asked.stores.jobs.get(ask(clerk))

    assert (job.target, job.connection, job.streams) == (
        "household",
        "household",
        ("accounts", "transactions"),
    )
    assert (job.state, job.priority, job.max_attempts, job.key) == (JobState.AVAILABLE, 5, 3, None)
    assert job.time_limit == timedelta(hours=1)


def test_everything_can_be_asked_for(clerk: Connection, asked: Asking) -> None:
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

    given = {"key": "k", "priority": 0, "streams": ["charges"], "since": since, "until": until}
    job = asked.stores.jobs.get(
        ask(clerk, "invoices", **given, delay=timedelta(hours=2), time_limit=timedelta(minutes=5))
    )

    assert (job.key, job.priority, job.streams) == ("k", 0, ("charges",))
    assert job.window is not None
    assert (job.window.since, job.window.until, job.time_limit) == (since, until, timedelta(minutes=5))
    assert job.state is JobState.SCHEDULED
    assert timedelta(hours=1.9) < job.scheduled_at - job.created_at <= timedelta(hours=2)
    assert asked.stores.jobs.get(ask(clerk, full_pull=True, at=until)).full


def test_it_is_part_of_the_transaction_that_asks_and_told_with_its_commit(
    clerk: Connection, owner: Connection, asked: Asking
) -> None:
    owner.execute("LISTEN leaderjobs")
    with clerk.transaction(force_rollback=True):
        lost = ask(clerk)
    with clerk.transaction():
        job = ask(clerk)
        assert not list(owner.notifies(timeout=0.05))

    told = [note.payload for note in owner.notifies(timeout=5, stop_after=1)]

    assert [each.split()[:4] for each in told] == [[CLUSTER, "due", "household", "5"]]
    assert asked.stores.jobs.get(job).state is JobState.AVAILABLE
    assert owner.execute("SELECT FROM leaderjobs.jobs WHERE id = %s", (lost,)).rowcount == 0


def test_the_role_that_asks_can_do_nothing_else(clerk: Connection) -> None:
    ask(clerk)

    for statement in (
        "SELECT FROM leaderjobs.jobs",
        "SELECT FROM leaderjobs.syncs",
        "DELETE FROM leaderjobs.jobs",
        "INSERT INTO leaderjobs.syncs SELECT",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            clerk.execute(statement.encode())


def test_nobody_may_ask_who_was_not_granted_it(asked: Asking, owner: Connection) -> None:
    owner.execute("REVOKE EXECUTE ON FUNCTION leaderjobs.enqueue FROM clerk")
    try:
        with (
            closing(
                psycopg.connect(asked.url, options="-c role=clerk", autocommit=True, row_factory=dict_row)
            ) as clerk,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            ask(clerk)
    finally:
        owner.execute("GRANT EXECUTE ON FUNCTION leaderjobs.enqueue TO clerk")


def test_the_owner_is_not_led_astray_by_what_the_asking_role_made(
    clerk: Connection, owner: Connection, asked: Asking
) -> None:
    """Without a search path of its own the function would call the clerk's code with its owner's rights."""
    owner.execute("CREATE SCHEMA traps AUTHORIZATION clerk")
    clerk.execute("CREATE TEMP TABLE syncs (cluster text, name text)")
    for signature in ("length(text)", "cardinality(text[])", "quote_literal(text)"):
        clerk.execute(
            f"CREATE FUNCTION traps.{signature} RETURNS int LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'called as %', current_user; END $$".encode()
        )
    clerk.execute("SET search_path = pg_temp, traps, pg_catalog")

    assert asked.stores.jobs.get(ask(clerk, key="k")).state is JobState.AVAILABLE
    assert "has the key 'k'" in refused(clerk, key="k", on_conflict="error")


WRONG = [
    ({"target": "nobody"}, "no sync is called 'nobody'; known: household, invoices"),
    ({"target": None}, "no sync is called NULL; known: household, invoices"),
    (
        {"target": "billing.pay_invoice"},
        (
            "no sync is called 'billing.pay_invoice'; known: household, invoices; "
            "enqueue operations with leaderjobs enqueue or leaderjobs.Client"
        ),
    ),
    ({"key": ""}, "key: allowed: 1 to 200 printable characters"),
    ({"key": "x" * 201}, "key: allowed: 1 to 200 printable characters"),
    ({"key": "a\nb"}, "key: allowed: 1 to 200 printable characters"),
    ({"priority": 10}, "priority = 10: allowed: a whole number from 0 to 9"),
    ({"priority": None}, "priority = NULL: allowed: a whole number from 0 to 9"),
    ({"on_conflict": "ignore"}, "on_conflict = 'ignore': allowed: error, skip, replace"),
    (
        {"delay": timedelta(seconds=-1)},
        "delay = -1 days +23:59:59: allowed: an interval that is not negative",
    ),
    ({"time_limit": timedelta(0)}, "time_limit = 00:00:00: allowed: 1 second to 30 days"),
    ({"streams": ["nonsense"]}, "household has no stream 'nonsense'; it has: accounts, transactions"),
    ({"streams": []}, "streams: allowed: names of streams, at least one"),
    ({"streams": ["accounts", None]}, "streams: allowed: names of streams, at least one"),
    ({"streams": ["accounts", "accounts"]}, "streams: allowed: each stream once"),
    (
        {"since": datetime(2026, 1, 1, tzinfo=UTC)},
        "household.accounts cannot be pulled for a span of time; this can: no stream of it",
    ),
    (
        {"since": datetime(2026, 1, 2, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)},
        "since must be before until",
    ),
    (
        {"full_pull": True, "since": datetime(2026, 1, 2, tzinfo=UTC)},
        "full_pull pulls everything; leave out since and until, or full_pull",
    ),
    (
        {"at": datetime(2026, 1, 2, tzinfo=UTC), "delay": timedelta(1)},
        "at and delay exclude each other; give one of them",
    ),
]


@pytest.mark.parametrize(("given", "says"), WRONG, ids=[says[:40] for _, says in WRONG])
def test_what_is_wrong_is_refused_with_what_is_allowed(
    clerk: Connection, given: dict[str, Any], says: str
) -> None:
    assert refused(clerk, **given) == says


def test_an_unknown_cluster_is_refused_with_those_there_are(clerk: Connection) -> None:
    with pytest.raises(psycopg.Error, match=r"cluster 'other' has no syncs.*known clusters: acme"):
        clerk.execute("SELECT leaderjobs.enqueue('household', 'other')")


def test_a_key_is_there_once_as_the_policy_says(clerk: Connection, asked: Asking) -> None:
    job = ask(clerk, key="k")

    assert ask(clerk, key="k", priority=0) == job
    assert asked.stores.jobs.get(job).priority == 5
    assert refused(clerk, key="k", on_conflict="error").startswith(
        f"job {job} (household) has the key 'k' and is available"
    )
    assert ask(clerk, key="k", priority=1, streams=["accounts"], on_conflict="replace") == job
    now = asked.stores.jobs.get(job)
    assert (now.priority, now.streams, now.time_limit) == (1, ("accounts",), timedelta(hours=1))
    assert refused(clerk, "invoices", key="k", on_conflict="replace") == (
        f"job {job} has the key 'k' and is of household, not of invoices; choose another key"
    )


def test_racing_transactions_get_the_one_job_of_their_key(asked: Asking, clerk: Connection) -> None:
    del clerk

    def race(_n: int) -> int:
        with closing(
            psycopg.connect(asked.url, options="-c role=clerk", autocommit=True, row_factory=dict_row)
        ) as connection:
            return ask(connection, key="race", on_conflict="replace")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(race, range(16)))) == 1


def test_the_command_and_the_function_mean_the_same_job(clerk: Connection, asked: Asking) -> None:
    from leaderjobs.app.asking import Request, wanted

    new = wanted(asked.settings, Request("invoices"))
    assert isinstance(new, NewJob)
    by_command, _ = asked.stores.jobs.enqueue(new, OnConflict.SKIP)
    by_function = asked.stores.jobs.get(ask(clerk, "invoices"))

    differs = {"id", "scheduled_at", "created_at"}
    assert {
        name for name in type(by_command).__slots__ if getattr(by_command, name) != getattr(by_function, name)
    } == differs


def test_only_the_term_that_leads_says_which_syncs_there_are(asked: Asking, clerk: Connection) -> None:
    with asked.leading() as (old, old_connections):
        with asked.leading() as (term, connections):
            one = Sync("other", "household", ("accounts",), ("accounts",), (), 20)
            Syncs(CLUSTER).publish(connections, term, [one])
            assert refused(clerk) == "no sync is called 'household'; known: other"
        with pytest.raises(FencedOut):
            Syncs(CLUSTER).publish(old_connections, old, [])
    asked.publish()
    ask(clerk)
