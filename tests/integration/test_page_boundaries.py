"""SIGKILL of the leader at every page boundary of every connector: I3, I4 and I8 each time."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from leaderjobs import app, config
from leaderjobs.connectors import registry
from leaderjobs.model.job import Job, JobState, NewJob
from leaderjobs.model.stream import CursorKind
from leaderjobs.sandbox.plaid import PlaidSandbox
from leaderjobs.sandbox.server import Sandbox
from tests.integration.deaths import PLACES, Death, lead

CONNECTION = "c"
MOST_DEATHS = 80
Truth = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    """A connector over its stand-in."""

    name: str
    sandbox: Callable[[], Any]
    settings: Callable[[Any], str]
    """What `[connections.c]` holds."""
    truth: Callable[[Any, str], Truth | None]
    """What a stream's table must hold; None where the stand-in keeps no book of that."""
    change: Callable[[Any], object]
    """Something happens at the provider between two syncs."""
    streams: tuple[str, ...]
    """Those that are pulled."""


def _plaid(sandbox: PlaidSandbox) -> str:
    return f"""
        base_url = "{sandbox.url}"
        client_id = "{sandbox.client_id}"
        secret = "{sandbox.secret}"
        access_token = "{sandbox.access_token}"
        page_size = 10
        rate_limit = "100000/s"
    """


def _change_plaid(sandbox: PlaidSandbox) -> None:
    sandbox.add(12)
    sandbox.modify(9)
    sandbox.remove(4)
    sandbox.post_pending(2)


CASES = [
    Case(
        "plaid",
        lambda: PlaidSandbox(transactions=25, accounts=2),
        _plaid,
        lambda sandbox, stream: sandbox.rows() if stream == "transactions" else None,
        _change_plaid,
        ("accounts", "transactions"),
    ),
]


@dataclass
class Field:
    """One provider, one database; every scene in it is a cluster of its own."""

    case: Case
    sandbox: Sandbox
    directory: Path
    url: str
    scenes: int = 0

    def scene(self) -> Scene:
        self.scenes += 1
        return Scene(self, f"scene-{self.scenes}")


class Scene:
    """A cluster that has pulled nothing yet."""

    def __init__(self, around: Field, cluster: str) -> None:
        self.around = around
        self.path = around.directory / f"{cluster}.toml"
        self.path.write_text(
            f"""
            [cluster]
            name = "{cluster}"
            coordinator = "zookeeper://127.0.0.1:1/x"
            database = "{around.url}"
            [connections.{CONNECTION}]
            connector = "{around.case.name}"
            {around.case.settings(around.sandbox)}
            """
        )
        self.path.chmod(0o600)
        self.settings = config.load(self.path, {})
        found = self.settings.connections[CONNECTION]
        self.streams = registry.streams(found.connector, found.name, found.options)
        self.schema = registry.schema(found.connector, found.name, found.options)
        self.cluster = cluster
        self.tokens = 0

    def lead(self, death: Death | None = None) -> int:
        self.tokens += 1
        return lead(self.path, self.around.url, self.tokens, death)

    def cursor_of(self, stream: str) -> CursorKind:
        return next(found.cursor for found in self.streams if found.name == stream)

    def rows(self, stream: str) -> dict[str, Any]:
        """The live rows, numbers to the digit."""
        query = psycopg.sql.SQL(
            "SELECT id, doc::text AS doc FROM {} WHERE cluster = %s AND deleted_at IS NULL"
        ).format(psycopg.sql.Identifier(self.schema, stream))
        with psycopg.connect(self.around.url, row_factory=dict_row) as connection:
            return {
                row["id"]: json.loads(row["doc"], parse_float=Decimal)
                for row in connection.execute(query, (self.cluster,))
            }

    def sequences(self) -> dict[str, tuple[int, int]]:
        """Sequence and rows of every marker."""
        query = "SELECT stream, sequence, rows FROM leaderjobs.markers WHERE cluster = %s"
        with psycopg.connect(self.around.url) as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(query, (self.cluster,))}


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def around(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Field]:
    case: Case = request.param
    with case.sandbox() as sandbox:
        made = Field(case, sandbox, tmp_path, database_url)
        with app.opened_stores(made.scene().settings, migrate=True) as stores:
            scene = made.scene()
            stores.tables.ensure(scene.schema, scene.streams)
            yield made


def enqueue(scene: Scene, stream: str) -> Job:
    with app.opened_stores(scene.settings) as stores:
        return stores.jobs.enqueue(NewJob("sync", CONNECTION, (stream,)))[0]


def job_of(scene: Scene, job: Job) -> Job:
    with app.opened_stores(scene.settings) as stores:
        return stores.jobs.get(job.id)


def normal(truth: Truth) -> dict[str, Any]:
    """As it comes back from the database."""
    text = json.dumps(truth, default=lambda value: {"decimal": str(value)})
    found: dict[str, Any] = json.loads(
        text,
        parse_float=Decimal,
        object_hook=lambda each: Decimal(each["decimal"]) if set(each) == {"decimal"} else each,
    )
    return found


def assert_whole(scene: Scene) -> None:
    """I8."""
    with app.opened_stores(scene.settings) as stores:
        counts = stores.jobs.counts()
    assert {state for state, count in counts.items() if count} == {JobState.COMPLETED}
    for stream in scene.around.case.streams:
        truth = scene.around.case.truth(scene.around.sandbox, stream)
        if truth is not None:
            assert scene.rows(stream) == normal(truth), stream


def pull(scene: Scene, stream: str, place: str) -> int:
    """A sync of a stream whose every leader dies at the next page's boundary; how many of them died.

    Killed before or inside a commit, a leader has committed the page before it; killed after, that one.
    """
    job = enqueue(scene, stream)
    started = scene.sequences()
    # The first one dies before anything is committed; a stream that is read whole each time begins anew each time.
    again = None if scene.cursor_of(stream) is CursorKind.FULL else Death(place, 1 if place == "after" else 2)
    deaths = itertools.chain([Death(place, 1)], itertools.repeat(again))
    committed = 0
    for died, death in enumerate(itertools.islice(deaths, MOST_DEATHS)):
        code = scene.lead(death)
        if code == 0:
            return died
        assert code == -signal.SIGKILL
        assert death is not None
        committed += death.page - (place != "after")
        # I3 and I4: so many pages as the job counts and as were committed, no more and no less.
        now, stored = scene.sequences(), job_of(scene, job)
        assert sum(now[name][0] - started.get(name, (0, 0))[0] for name in now) == committed
        assert sum(now[name][1] - started.get(name, (0, 0))[1] for name in now) == stored.progress.rows
        assert stored.progress.pages == committed
    raise AssertionError(f"the sync has not ended after {MOST_DEATHS} leaders")


@pytest.mark.parametrize("place", PLACES)
def test_leaders_killed_at_every_page_boundary_lose_nothing_and_repeat_nothing(
    around: Field, place: str
) -> None:
    scene = around.scene()
    died = sum(pull(scene, stream, place) for stream in around.case.streams)
    assert died > 3
    assert_whole(scene)

    around.case.change(around.sandbox)
    assert sum(pull(scene, stream, place) for stream in around.case.streams)
    assert_whole(scene)
