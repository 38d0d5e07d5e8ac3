"""SIGKILL of the leader at every page boundary of every connector: I3, I4 and I8 each time."""

from __future__ import annotations

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
from leaderjobs.testing import LEAST_PAGES, Can, Provider
from tests.contract.connectors.catalog import CatalogStandIn
from tests.contract.connectors.google_analytics import GoogleAnalyticsStandIn
from tests.contract.connectors.plaid import PlaidStandIn
from tests.contract.connectors.stripe import StripeStandIn
from tests.contract.connectors.youtube import YouTubeStandIn
from tests.integration.deaths import PLACES, Death, lead
from tests.integration.written import section
from tests.unit.connectors.test_singer_contract import Tap

CONNECTION = "c"
MOST_DEATHS = 8
LATER_DEATHS = 2
CASES: tuple[Callable[[], Provider], ...] = (
    PlaidStandIn,
    StripeStandIn,
    YouTubeStandIn,
    GoogleAnalyticsStandIn,
    CatalogStandIn,
    lambda: Tap(method="LOG_BASED"),
)
NAMES = ("plaid", "stripe", "youtube", "google_analytics", "rest", "singer")


@dataclass
class Field:
    """One provider, one database; every scene in it is a cluster of its own."""

    provider: Provider
    directory: Path
    url: str
    section: str
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
            {around.section}
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


@pytest.fixture(params=CASES, ids=NAMES)
def around(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Field]:
    with request.param() as provider:
        connector = provider.connect()
        made = Field(provider, tmp_path, database_url, section(CONNECTION, connector))
        connector.close()
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


def normal(truth: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
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
    provider = scene.around.provider
    assert scene.rows(provider.stream) == normal(provider.rows(provider.stream))


def pull(scene: Scene, stream: str, place: str, most: int) -> int:
    """A sync of a stream whose every leader dies at the next page's boundary; how many (up to `most`) died.

    Killed before or inside a commit, a leader has committed the page before it; killed after, that one.
    """
    job = enqueue(scene, stream)
    started = scene.sequences()
    # The first one dies before anything is committed.
    deaths = [Death(place, 1), *[Death(place, 1 if place == "after" else 2)] * (most - 1)]
    committed = 0
    for died, death in enumerate(deaths):
        code = scene.lead(death)
        if code == 0:
            return died
        assert code == -signal.SIGKILL
        committed += death.page - (place != "after")
        # I3 and I4: so many pages as the job counts and as were committed, no more and no less.
        now, stored = scene.sequences(), job_of(scene, job)
        assert sum(now[name][0] - started.get(name, (0, 0))[0] for name in now) == committed
        assert sum(now[name][1] - started.get(name, (0, 0))[1] for name in now) == stored.progress.rows
        assert stored.progress.pages == committed
    # Whoever dies after the last page leaves a sync that begins again, and some always find a page: let it end.
    assert scene.lead() == 0
    return len(deaths)


@pytest.mark.parametrize("place", PLACES)
def test_leaders_killed_at_every_page_boundary_lose_nothing_and_repeat_nothing(
    around: Field, place: str
) -> None:
    scene, provider = around.scene(), around.provider
    assert pull(scene, provider.stream, place, MOST_DEATHS) >= LEAST_PAGES - 1
    assert_whole(scene)

    provider.add(12)
    provider.modify(9)
    if Can.DELETES in provider.can:
        provider.remove(4)
    assert pull(scene, provider.stream, place, LATER_DEATHS)
    assert_whole(scene)
