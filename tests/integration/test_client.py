"""`leaderjobs.Client`: enqueue from Python, alone or as part of a transaction of the program's own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row

import leaderjobs
from leaderjobs.client import Enqueued
from leaderjobs.embedded.postgres import PostgresServer
from leaderjobs.errors import LeaderJobsError, Refused, UsageError
from leaderjobs.model.effect import EffectState
from leaderjobs.model.job import Job, JobState, Window
from leaderjobs.store import queries
from tests.integration.asking_rig import CLUSTER, Asking, asking
from tests.support import eventually

INVOICE = {"invoice": "in_1"}


@pytest.fixture(scope="module")
def asked(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(postgres_server, "client", tmp_path_factory.mktemp("client")) as made:
        yield made


@pytest.fixture
def own(asked: Asking) -> Iterator[psycopg.Connection[Any]]:
    """The program's own connection, in its way of working: a transaction begins by itself, rows are odd."""
    with closing(psycopg.connect(asked.url, row_factory=namedtuple_row)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id int); TRUNCATE orders")
        connection.execute("TRUNCATE leaderjobs.jobs, leaderjobs.effects, leaderjobs.effect_sends CASCADE")
        connection.commit()
        yield connection


@pytest.fixture
def client(asked: Asking, own: psycopg.Connection[Any]) -> Iterator[leaderjobs.Client]:
    del own
    with leaderjobs.Client(settings=asked.settings) as made:
        yield made


def count(asked: Asking, table: str) -> int:
    with psycopg.connect(asked.url, autocommit=True) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert found is not None
    return int(found[0])


def claim(asked: Asking, job: int) -> Job:
    """As a leader does, without one: the job runs under term 1."""
    with psycopg.connect(asked.url, autocommit=True) as connection:
        connection.execute(
            "UPDATE leaderjobs.jobs SET state = 'running', attempt = attempt + 1, term = 1, member = 'm', "
            "started_at = now() WHERE id = %s",
            (job,),
        )
    return asked.stores.jobs.get(job)


def test_a_sync_is_enqueued_with_everything_that_was_asked(client: leaderjobs.Client) -> None:
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

    made = client.enqueue(
        "invoices",
        key="k",
        delay=timedelta(hours=1),
        priority=0,
        streams=["charges"],
        since=since,
        until=until,
        time_limit=timedelta(minutes=5),
    )

    job = client.job(made.job)
    assert (made.created, made.effect) == (True, None)
    assert (job.key, job.state, job.priority, job.streams) == ("k", JobState.SCHEDULED, 0, ("charges",))
    assert (job.window, job.time_limit) == (Window(since, until), timedelta(minutes=5))
    assert client.job(client.enqueue("household", full=True, at=until).job).full


def test_the_configuration_is_found_as_the_command_line_finds_it(asked: Asking) -> None:
    with leaderjobs.Client(asked.settings.path) as client:
        assert client.job(client.enqueue("household").job).max_attempts == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"target": "nobody"}, "no sync is called 'nobody'; known: household, invoices"),
        ({"key": "a\nb"}, "key: allowed: 1 to 200 printable characters"),
        ({"priority": 10}, "priority = 10: allowed: a whole number from 0 to 9"),
        ({"on_conflict": "ignore"}, "on_conflict = 'ignore': allowed: error, skip, replace"),
        ({"streams": "accounts"}, "allowed: a sequence of names"),
        ({"streams": ["nonsense"]}, "it has: accounts, transactions"),
        ({"streams": []}, "streams: allowed: names of streams, each once"),
        ({"since": datetime(2026, 1, 1, tzinfo=UTC)}, "cannot be pulled for a span of time"),
        ({"at": datetime(2026, 1, 1)}, "at = 2026-01-01T00:00:00: allowed: an instant with its zone"),  # noqa: DTZ001
        (
            {"at": datetime(2026, 1, 1, tzinfo=UTC), "delay": timedelta(1)},
            "at and delay exclude each other",
        ),
        ({"delay": -timedelta(1)}, "delay = -1 day, 0:00:00: allowed: a span of time that is not negative"),
        ({"time_limit": timedelta(0)}, "time_limit = 0:00:00: allowed: 1 second to 30 days"),
        ({"arguments": INVOICE}, "household is a sync; only operations take arguments"),
        ({"target": "billing.pay_invoice", "arguments": INVOICE, "key": "k"}, "on_conflict are for syncs"),
        ({"target": "billing.pay"}, "connection billing has no operation 'pay'"),
        ({"target": "billing.pay_invoice"}, "invoice is missing"),
        ({"connection": "postgresql://x"}, "connection is a str; allowed: a psycopg.Connection"),
    ],
)
def test_what_is_wrong_is_refused_with_what_is_allowed(
    client: leaderjobs.Client, asked: Asking, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError) as raised:
        client.enqueue(**{"target": "household", **given})

    assert says in str(raised.value)
    assert count(asked, "leaderjobs.jobs") == 0


def test_what_is_enqueued_on_the_programs_connection_shares_its_fate(
    client: leaderjobs.Client, asked: Asking, own: psycopg.Connection[Any]
) -> None:
    own.execute("INSERT INTO orders VALUES (1)")
    lost = client.enqueue("household", key="k", connection=own)
    paid = client.enqueue("billing.pay_invoice", arguments=INVOICE, connection=own)
    own.rollback()
    assert (lost.created, paid.created) == (True, True)
    assert (count(asked, "orders"), count(asked, "leaderjobs.jobs"), count(asked, "leaderjobs.effects")) == (
        0,
        0,
        0,
    )

    own.execute("INSERT INTO orders VALUES (1)")
    kept = client.enqueue("household", key="k", connection=own)
    again = client.enqueue("household", key="k", connection=own)
    assert (again.job, again.created) == (kept.job, False)
    assert count(asked, "leaderjobs.jobs") == 0
    paid = client.enqueue("billing.pay_invoice", arguments=INVOICE, connection=own)
    own.commit()

    assert count(asked, "orders") == 1
    assert client.job(kept.job).state is JobState.AVAILABLE
    assert paid.effect is not None
    assert client.job(paid.job).effect == paid.effect
    assert asked.stores.effects.get(paid.effect).state is EffectState.PLANNED


def test_the_leader_is_told_once_the_programs_transaction_is_committed(
    client: leaderjobs.Client, asked: Asking, own: psycopg.Connection[Any]
) -> None:
    with closing(psycopg.connect(asked.url, autocommit=True)) as listening:
        listening.execute("LISTEN leaderjobs")
        client.enqueue("household", connection=own)
        assert not list(listening.notifies(timeout=0.05))
        own.commit()
        told = [note.payload for note in listening.notifies(timeout=5, stop_after=1)]
    assert [each.split()[:4] for each in told] == [[CLUSTER, "due", "household", "5"]]


def test_a_connection_in_autocommit_enqueues_at_once(client: leaderjobs.Client, asked: Asking) -> None:
    with closing(psycopg.connect(asked.url, autocommit=True)) as connection:
        made = client.enqueue("household", connection=connection)
        assert client.job(made.job).state is JobState.AVAILABLE
        with connection.pipeline():
            assert client.enqueue("household", connection=connection).created
    assert count(asked, "leaderjobs.jobs") == 2


def test_nothing_is_prepared_by_name_on_the_programs_connection(
    client: leaderjobs.Client, own: psycopg.Connection[Any]
) -> None:
    """It may lead through a pooler that gives the next transaction to another backend."""
    own.prepare_threshold = 0
    client.enqueue("household", connection=own)

    assert own.execute("SELECT FROM pg_prepared_statements", prepare=False).fetchall() == []


def test_a_failed_transaction_is_told_and_its_error_is_the_programs(
    client: leaderjobs.Client, asked: Asking, own: psycopg.Connection[Any]
) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        own.execute("SELECT 1/0")
    with pytest.raises(UsageError, match="roll it back first"):
        client.enqueue("household", connection=own)
    own.rollback()
    own.execute("ALTER TABLE leaderjobs.jobs RENAME TO gone")
    with pytest.raises(psycopg.errors.UndefinedTable):
        client.enqueue("household", connection=own)
    own.rollback()
    own.close()
    with pytest.raises(UsageError, match="connection is closed"):
        client.enqueue("household", connection=own)


def test_an_operation_takes_effect_once_however_often_it_is_asked_for(
    client: leaderjobs.Client, asked: Asking, own: psycopg.Connection[Any]
) -> None:
    first = client.enqueue("billing.pay_invoice", arguments=INVOICE, delay=timedelta(hours=1))
    second = client.enqueue("billing.pay_invoice", arguments=INVOICE, connection=own)
    own.commit()

    assert (first.created, second.created) == (True, False)
    assert (first.job, first.effect) == (second.job, second.effect)
    assert client.job(first.job).state is JobState.SCHEDULED
    assert count(asked, "leaderjobs.effects") == 1


def test_a_key_that_is_taken_is_refused_when_an_error_is_wanted(client: leaderjobs.Client) -> None:
    job = client.enqueue("household", key="k", on_conflict="error").job

    with pytest.raises(Refused, match=f"job {job} \\(household\\) has the key 'k' and is available"):
        client.enqueue("household", key="k", on_conflict="error")
    with pytest.raises(Refused, match=f"job {job} has the key 'k' and is of household, not of invoices"):
        client.enqueue("invoices", key="k", on_conflict="replace")


def test_a_waiting_job_becomes_what_is_asked_for(client: leaderjobs.Client, asked: Asking) -> None:
    first = client.enqueue("household", key="k", full=True, priority=9)
    claim(asked, first.job)
    with asked.leading() as (term, connections):
        assert term.number >= 1
        asked.stores.jobs.rescue(connections, term)
    before = claim(asked, first.job)
    with psycopg.connect(asked.url) as connection:
        connection.execute(
            "UPDATE leaderjobs.jobs SET state = 'retryable', error = 'broken', progress_pages = 3, begun = '{accounts}'"
        )

    second = client.enqueue(
        "household",
        key="k",
        streams=["accounts"],
        priority=0,
        delay=timedelta(hours=2),
        time_limit=timedelta(minutes=1),
        on_conflict="replace",
    )

    job = client.job(first.job)
    assert (second.job, second.created) == (first.job, False)
    assert (job.state, job.streams, job.priority, job.full) == (JobState.SCHEDULED, ("accounts",), 0, False)
    assert (job.time_limit, job.error, job.begun, job.progress.pages) == (timedelta(minutes=1), None, (), 0)
    assert job.scheduled_at - before.created_at > timedelta(hours=1)
    # Attempts are named by their number: those that were go on being counted, and the wish has all of its own.
    assert (job.attempt, job.max_attempts) == (before.attempt, before.attempt + 3)


def test_a_running_job_stays_as_it_is(client: leaderjobs.Client, asked: Asking) -> None:
    first = client.enqueue("household", key="k")
    running = claim(asked, first.job)

    second = client.enqueue("household", key="k", priority=0, on_conflict="replace")

    assert (second.job, second.created) == (first.job, False)
    assert client.job(first.job) == running


def test_a_claim_that_waits_for_a_replacement_sees_what_the_job_became(
    client: leaderjobs.Client, asked: Asking, own: psycopg.Connection[Any]
) -> None:
    first = client.enqueue("household", key="k")
    client.enqueue("household", key="k", delay=timedelta(hours=1), on_conflict="replace", connection=own)
    with closing(psycopg.connect(asked.url, autocommit=True)) as leader, ThreadPoolExecutor(1) as pool:
        claiming = pool.submit(_claim, leader, first.job)
        eventually(lambda: waiting(asked, leader), what="the claim to wait for the row")
        own.commit()
        assert claiming.result(10) == 0

    assert client.job(first.job).state is JobState.SCHEDULED


def test_a_replacement_that_waits_for_a_claim_leaves_the_job_alone(
    client: leaderjobs.Client, asked: Asking, own: psycopg.Connection[Any]
) -> None:
    first = client.enqueue("household", key="k")
    with closing(psycopg.connect(asked.url)) as leader, ThreadPoolExecutor(1) as pool:
        assert _claim(leader, first.job) == 1
        replacing = pool.submit(
            client.enqueue, "household", key="k", priority=0, on_conflict="replace", connection=own
        )
        eventually(lambda: waiting(asked, own), what="the replacement to wait for the row")
        leader.commit()
        assert replacing.result(10) == Enqueued(first.job, created=False)
        own.commit()

    job = client.job(first.job)
    assert (job.state, job.priority, job.attempt) == (JobState.RUNNING, 5, 1)


def _claim(connection: psycopg.Connection[Any], job: int) -> int:
    """The leader's own statement; how many it started."""
    who = {"cluster": CLUSTER, "number": 1, "member": "m", "ids": [job]}
    return connection.execute(queries.load("queue")["claim"], who).rowcount


def waiting(asked: Asking, connection: psycopg.Connection[Any]) -> bool:
    """Whether the server holds this connection's statement up for a lock."""
    found = asked.stores.database.rows(
        "SELECT wait_event_type AS type FROM pg_stat_activity WHERE pid = %(pid)s",
        {"pid": connection.info.backend_pid},
    )
    return bool(found[0]["type"] == "Lock")


def test_a_key_is_free_again_when_its_job_has_ended(client: leaderjobs.Client, asked: Asking) -> None:
    first = client.enqueue("household", key="k")
    client.cancel(first.job)

    assert client.enqueue("household", key="k", on_conflict="replace").created
    assert count(asked, "leaderjobs.jobs") == 2


def test_replacing_races_with_claims_and_ends_and_no_wish_is_lost(
    client: leaderjobs.Client, asked: Asking
) -> None:
    """Each wish has a priority of its own; when all is quiet, the last one that was taken up is the job."""
    stop = threading.Event()

    def work() -> None:
        with closing(psycopg.connect(asked.url, autocommit=True)) as connection:
            while not stop.is_set():
                connection.execute(
                    "UPDATE leaderjobs.jobs SET state = 'running', attempt = attempt + 1, term = 1, member = 'm' "
                    "WHERE state = 'available'"
                )
                connection.execute("UPDATE leaderjobs.jobs SET state = 'completed' WHERE state = 'running'")

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            made = list(
                pool.map(
                    lambda n: client.enqueue("household", key="k", priority=n % 10, on_conflict="replace"),
                    range(100),
                )
            )
    finally:
        stop.set()
        worker.join()
    with psycopg.connect(asked.url, autocommit=True) as connection:
        unfinished = connection.execute(
            "SELECT count(*) FROM leaderjobs.jobs WHERE state <> 'completed'"
        ).fetchone()
    assert unfinished is not None
    assert unfinished[0] <= 1
    assert count(asked, "leaderjobs.jobs") == sum(each.created for each in made)


def test_waiting_ends_when_the_job_does(client: leaderjobs.Client, asked: Asking) -> None:
    made = client.enqueue("household")
    ended: list[Job] = []
    waiting = threading.Thread(target=lambda: ended.append(client.wait(made.job, timedelta(seconds=20))))
    waiting.start()
    client.cancel(made.job, "ann")
    waiting.join(20)

    assert [job.state for job in ended] == [JobState.CANCELLED]
    assert asked.stores.job_admin.cancelled_by(made.job) == "ann"
    with pytest.raises(Refused, match="it is cancelled already"):
        client.cancel(made.job)


def test_waiting_ends_when_the_time_is_up(client: leaderjobs.Client) -> None:
    made = client.enqueue("household")

    with pytest.raises(LeaderJobsError, match=f"job {made.job} is still available after"):
        client.wait(made.job, timedelta(milliseconds=10))


def test_a_closed_client_says_so(asked: Asking) -> None:
    client = leaderjobs.Client(settings=asked.settings)
    client.enqueue("household")
    client.close()
    client.close()

    with pytest.raises(LeaderJobsError, match="the client is closed"):
        client.enqueue("household")


def test_naming_the_package_costs_no_client() -> None:
    code = "import sys, leaderjobs; assert 'leaderjobs.client' not in sys.modules; leaderjobs.Client"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
