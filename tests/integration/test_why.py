"""`why` from the configuration to the sentence, on the real servers, without anybody who works."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from leaderjobs import app, clock, config
from leaderjobs.config import Settings
from leaderjobs.coordination.base import Coordinator
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.model.member import LeaderInfo
from leaderjobs.model.reason import ReasonCode
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import Database
from leaderjobs.store.terms import Terms
from tests.support import free_port

Put = Callable[..., int]


@pytest.fixture
def settings(tmp_path: Path, database_url: str, zookeeper_server: ZooKeeperServer) -> Settings:
    with closing(Database(database_url, application="test")) as database:
        Migrations(database).apply()
    path = tmp_path / "leaderjobs.toml"
    path.write_text(
        f"""
        [cluster]
        coordinator = "zookeeper://{zookeeper_server.address}/why-{secrets.token_hex(8)}"
        database = "{database_url}"
        concurrency = 3
        [connections.household]
        connector = "plaid"
        client_id = "c"
        secret = "s"
        access_token = "t"
        [connections.joint]
        connector = "plaid"
        client_id = "c"
        secret = "s"
        access_token = "t"
        [syncs.household]
        connection = "household"
        [limits.providers.plaid]
        jobs = 1
        [schedules.nightly]
        sync = "household"
        cron = "@daily"
        """
    )
    path.chmod(0o600)
    return config.load(path, {})


@pytest.fixture
def put(database_url: str, settings: Settings) -> Iterator[Put]:
    """A job as it is stored; its id."""
    del settings
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:

        def stored(connection_name: str, state: str = "available") -> int:
            row = connection.execute(
                "INSERT INTO leaderjobs.jobs (cluster, target, connection, streams, state, priority, attempt, max_attempts, "
                "scheduled_at, started_at, term, member) VALUES ('leaderjobs', 'sync', %s, '{accounts}', %s, 5, 1, 20, now(), "
                "now(), 1, 'a') RETURNING id",
                (connection_name, state),
            ).fetchone()
            assert row is not None
            return int(row[0])

        yield stored


@pytest.fixture
def lead(settings: Settings) -> Iterator[Callable[[], None]]:
    """Become the leader for as long as the test lasts: the claim and the fence, and nothing that works."""
    found = app.servers(settings, start=False)
    session: Coordinator = app.coordinator(settings, found, guid="guid-a", timeout=timedelta(seconds=10))

    def begin() -> None:
        session.listen(lambda _event: None)
        session.connect(timedelta(seconds=10))
        session.campaign(0)
        info = LeaderInfo("a", "guid-a", 0, clock.now(), clock.now(), 5.0)
        claim = session.claim(0, info)
        assert claim is not None
        with closing(Database(found.database, application="test")) as database:
            Terms(database, "leaderjobs").raise_fence(0, claim.token, session.origin(), "a")
        session.heartbeat(claim, replace(info, number=1), {})

    yield begin
    session.close()


def test_a_job_from_nobody_leads_to_its_provider_s_limit(
    settings: Settings, put: Put, lead: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # This leader beats once only.
    monkeypatch.setattr("leaderjobs.app.explaining.SILENT_AFTER", timedelta(days=1))
    job = put("household")
    assert app.why_job(settings, job).code is ReasonCode.NO_LEADER
    lead()
    assert app.why_job(settings, job).code is ReasonCode.STARTING
    running = put("joint", "running")
    limited = app.why_job(settings, job)
    assert limited.code is ReasonCode.PROVIDER_LIMIT
    assert f"limits.providers.plaid allows 1 at a time, and 1 run (job {running})" in limited.message
    assert app.why_job(settings, running).code is ReasonCode.RUNNING
    assert app.why_job(settings, running + 1).code is ReasonCode.UNKNOWN_JOB


def test_a_leader_that_falls_silent_is_told_before_its_session_ends(
    settings: Settings, put: Put, lead: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = put("household")
    lead()
    monkeypatch.setattr("leaderjobs.app.explaining.SILENT_AFTER", timedelta(0))
    monkeypatch.setattr("leaderjobs.app.explaining.LONGEST_BEAT", 0.05)
    reason = app.why_job(settings, job)
    assert reason.code is ReasonCode.NOT_SERVED
    assert "a leads and has not been heard of since" in reason.message


def test_a_coordinator_that_is_away_is_part_of_the_answer(
    settings: Settings, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.app.explaining.CONNECT_PATIENCE", timedelta(seconds=0.5))
    away = config.load(
        settings.path, {"LEADERJOBS_CLUSTER_COORDINATOR": f"zookeeper://127.0.0.1:{free_port()}/why"}
    )
    reason = app.why_job(away, put("household"))
    assert reason.code is ReasonCode.UNKNOWN_LEADER
    assert "zookeeper does not answer" in reason.message


def test_a_schedule_of_the_file_waits_for_a_leader_with_that_file(settings: Settings) -> None:
    reason = app.why_schedule(settings, "nightly")
    assert reason.code is ReasonCode.NOT_STORED
    assert "nobody leads" in reason.message
    assert app.why_schedule(settings, "other").code is ReasonCode.UNKNOWN_SCHEDULE
