"""The example of a declared API: it loads, and against an API of GitHub's shape it gives GitHub's rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from leaderjobs import config
from leaderjobs.connectors import registry
from leaderjobs.connectors.base import Connector
from leaderjobs.connectors.pacing import Paces
from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault
from leaderjobs.sandbox.server import Sandbox
from leaderjobs.testing import Clock, Table
from tests.examples.commands import ROOT

EXAMPLE = ROOT / "examples" / "rest_api"
ISSUES = re.compile(r"/repos/pallets/(\w+)/(issues|issues/comments|labels)")


class Hub(Sandbox):
    """As much of GitHub as the example asks for; two rows on a page."""

    methods = frozenset({"GET"})

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.repos = [{"id": at, "name": name, "stargazers_count": at, "archived": False,
                       "pushed_at": None} for at, name in enumerate(("flask", "gone", "click"))]  # fmt: skip
        self.listings: dict[tuple[str, str], list[dict[str, Any]]] = {
            (name, kind): [
                {"id": 10 * place + at, "name": f"n{at}", "updated_at": f"2024-01-0{at + 1}T00:00:00Z"}
                for at in range(3)
            ]
            for place, (name, kind) in enumerate(
                (name, kind)
                for name in ("flask", "click")
                for kind in ("issues", "issues/comments", "labels")
            )
        }

    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        del faults
        query = parse_qs(request.query)
        found = ISSUES.fullmatch(request.path)
        if request.headers["Authorization"] != "Bearer hunter2":
            return Reply(401, b"{}")
        if request.path == "/rate_limit":
            return Reply(200, b"{}")
        if request.path == "/orgs/pallets/repos":
            rows = self.repos
        elif found is None or (found[1], found[2]) not in self.listings:
            return Reply(404, b"{}")
        else:
            since = query.get("since", [""])[0]
            rows = [row for row in self.listings[found[1], found[2]] if row["updated_at"] >= since]
        assert query["per_page"] == ["100"]
        page = int(query.get("page", ["1"])[0])
        link = f'<{self.url}{request.path}?{request.query}&page={page + 1}>; rel="next"'
        headers = {"Link": link} if len(rows) > 2 * page else {}
        return Reply(200, msgspec.json.encode(rows[2 * (page - 1) : 2 * page]), headers)

    def state(self) -> dict[str, Any]:
        return {}

    def rows_json(self) -> bytes:
        return b"[]"

    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        raise ValueError(wanted)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture
def github(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connector]:
    monkeypatch.setenv("GITHUB_TOKEN", "hunter2")
    environment = {"LEADERJOBS_CONNECTIONS_GITHUB_BASE_URL": hub.url}
    loaded = config.load(EXAMPLE / "leaderjobs.toml", environment)
    found = loaded.connections["github"]
    assert registry.schema(found.connector, found.name, found.options) == "github"
    made = registry.make(found.connector, found.name, found.options, Paces(elapsed=Clock()), {})
    assert [stream.name for stream in made.streams] == ["repos", "issues", "comments", "labels"]
    yield made
    made.close()


def test_it_reads_an_api_of_that_shape(hub: Hub, github: Connector) -> None:
    github.check()
    tables = {stream.name: Table(stream) for stream in github.streams}
    for name, table in tables.items():
        table.sync(github, name)
    assert [row["name"] for row in tables["repos"].rows.values()] == ["flask", "gone", "click"]
    for name, kind in (("issues", "issues"), ("comments", "issues/comments"), ("labels", "labels")):
        found = [(row["repository"], row["id"]) for row in tables[name].rows.values()]
        assert found == [(repo, row["id"]) for repo in ("flask", "click") for row in hub.listings[repo, kind]]
    hub.listings["click", "issues"][0]["updated_at"] = "2024-02-01T00:00:00Z"
    hub.listings["click", "labels"].pop()
    received = tables["issues"].received
    for name in ("issues", "labels"):
        tables[name].sync(github, name)
    assert tables["issues"].received == received + 3
    assert tables["issues"].cursor == {"since": "2024-02-01T00:00:00+00:00"}
    assert tables["labels"].deleted == {'["click", "n2"]'}
