"""A bench around members of this process: memory coordinator, real Postgres, scripted provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.engine.scripted import Bench, bench


@pytest.fixture
def surroundings(database_url: str) -> Iterator[Bench]:
    """A bench whose coordinator grants 15 s."""
    with bench(database_url) as made:
        yield made
