"""`connectors`, `connections check`, `reset`, and parts of a sync, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from leaderjobs import app, clock
from leaderjobs.cli import main
from leaderjobs.config import load
from leaderjobs.connectors import registry
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import Completed
from leaderjobs.model.term import Term
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from leaderjobs.store.pool import TermConnections
from tests import one_turn


@pytest.fixture(scope="module")
def plaid() -> Iterator[PlaidSandbox]:
    with PlaidSandbox(transactions=5) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, database_url: str, plaid: PlaidSandbox) -> Iterator[Path]:
    """A Plaid connection and one that nobody answers, on a migrated database without a member."""
    path = tmp_path / "leaderjobs.toml"
    path.write_text(
        f"""
        [cluster]
        name = "acme"
        coordinator = "zookeeper://127.0.0.1:1/leaderjobs"
        database = "{database_url}"
        [connections.household]
        connector = "plaid"
        base_url = "{plaid.url}"
        client_id = "{plaid.client_id}"
        secret = "{plaid.secret}"
        access_token = "{plaid.access_token}"
        [connections.nobody]
        connector = "stripe"
        base_url = "http://127.0.0.1:1"
        api_key = "sk_test_hunter2"
        [syncs.household]
        connection = "household"
        """
    )
    path.chmod(0o600)
    with app.opened_stores(load(path, {}), migrate=True):
        yield path
    plaid.faults.replace()


def run(config: Path, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), *arguments], **options)


def shown(config: Path, *arguments: str) -> Any:
    result = run(config, *arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# -- connectors --------------------------------------------------------------------------------------------


def test_every_connector_is_listed_and_every_one_can_be_shown(config: Path) -> None:
    listed = shown(config, "connectors", "list")

    assert [each["connector"] for each in listed] == list(registry.names())
    for each in listed:
        assert each["connector"] in run(config, "connectors", "show", each["connector"]).stdout


def test_a_connector_shows_streams_keys_cursors_cost_and_settings(config: Path) -> None:
    found = shown(config, "connectors", "show", "plaid")

    transactions = found["streams"][1]
    assert transactions["name"] == "transactions"
    assert transactions["key"] == ["transaction_id"]
    assert transactions["cursor"] == "changes"
    assert transactions["cost"]
    settings = {each["key"]: each for each in found["settings"]}
    assert settings["access_token"]["default"] == "required"
    assert settings["timeout"]["default"] == "30s"


def test_every_stream_of_ours_says_what_a_sync_of_it_costs() -> None:
    assert {
        (name, stream.name)
        for name in registry.names()
        for stream in registry.own_streams(name)
        if not stream.cost
    } == set()


def test_a_connector_that_does_not_exist_is_met_with_those_there_are(config: Path) -> None:
    result = run(config, "connectors", "show", "paypal")

    assert result.exit_code == 2
    assert "plaid" in result.stderr


# -- connections check -------------------------------------------------------------------------------------


def test_each_connection_is_checked_and_who_must_act_is_told(config: Path, plaid: PlaidSandbox) -> None:
    result = run(config, "connections", "check", "--output", "json")

    assert result.exit_code == 3
    verdicts = {each["connection"]: each["verdict"] for each in json.loads(result.stdout)}
    assert verdicts == {"household": "ok", "nobody": "network"}
    assert run(config, "connections", "check", "household").exit_code == 0
    plaid.faults.replace(Fault(kind=FaultKind.LOGIN_REQUIRED))
    assert "auth" in run(config, "connections", "check", "household").stdout
    plaid.faults.replace(Fault(kind=FaultKind.RATE_LIMITED))
    assert "quota" in run(config, "connections", "check", "household").stdout


def test_a_connection_that_is_not_configured_is_met_with_those_that_are(config: Path) -> None:
    result = run(config, "connections", "check", "other")

    assert result.exit_code == 2
    assert "household, nobody" in result.stderr


# -- enqueue -----------------------------------------------------------------------------------------------


def test_a_part_of_a_sync_is_enqueued_as_it_was_asked_for(config: Path) -> None:
    job = shown(config, "enqueue", "household", "--streams", "accounts", "--full")["job"]

    assert job["streams"] == ["accounts"]
    assert job["full"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--streams", "nonsense"], "it has: accounts, transactions"),
        (["--streams", ","], "names with commas"),
        (["--since", "2026-01-01T00:00:00Z"], "cannot be pulled for a span of time"),
        (["--full", "--until", "2026-01-01T00:00:00Z"], "leave out --since"),
        (["--since", "2026-02-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"], "--since must be before"),
        (["--since", "yesterday"], "an instant with its zone"),
    ],
)
def test_a_part_that_cannot_be_had_is_refused_in_one_line(
    config: Path, arguments: list[str], said: str
) -> None:
    result = run(config, "enqueue", "household", *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_parts_are_not_for_operations(config: Path) -> None:
    result = run(config, "enqueue", "nobody.pay_invoice", "--full")

    assert result.exit_code == 2
    assert "--full" in result.stderr


# -- reset -------------------------------------------------------------------------------------------------


def test_a_marker_is_forgotten_only_when_told_so(config: Path) -> None:
    _pull_a_page(config)

    assert run(config, "reset", "household", "accounts").exit_code == 2
    result = run(config, "reset", "household", "accounts", "-y")

    assert result.exit_code == 0, result.output
    with app.opened_stores(load(config, {})) as stores:
        marker = stores.markers.load("household", "accounts")
    assert marker is not None
    assert (marker.cursor, marker.sequence) == ({}, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["other", "accounts"], 2, "no connection is called"),
        (["household", "nonsense"], 2, "it has: accounts, transactions"),
        (["household", "transactions"], 1, "was ever pulled"),
    ],
)
def test_what_cannot_be_reset_is_told(config: Path, arguments: list[str], code: int, said: str) -> None:
    result = run(config, "reset", *arguments, "-y")

    assert result.exit_code == code
    assert said in result.stderr


def _pull_a_page(config: Path) -> None:
    run(config, "enqueue", "household", "--streams", "accounts")
    settings = load(config, {})
    with app.opened_stores(settings) as stores:
        stream = registry.own_streams("plaid")[0]
        stores.tables.ensure("plaid", (stream,))
        number = stores.terms.raise_fence(0, clock.now().microsecond + 1, "origin", "a")
        term = Term(
            cluster="acme",
            partition=0,
            number=number,
            token=1,
            origin="origin",
            member="a",
            began_at=clock.now(),
            session_timeout=settings.cluster.session_timeout,
            elapsed=clock.elapsed,
            sent_at=clock.elapsed(),
        )
        connections = TermConnections(stores.database, term, 2)
        (job,) = one_turn.claim(stores.queue, connections, term)
        batch = Batch("accounts", b'{"accounts": []}', ("accounts",), None, {"page": 1}, Landing.REPLACE, 0)
        stores.batches.commit(connections, term, job, "plaid", stream, batch, None)
        one_turn.finish(stores.queue, connections, term, job, Completed())
        connections.close()
