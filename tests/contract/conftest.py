"""Every implementation of a contract, for the suite that holds them to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.backends import Backend, MemoryBackend, ZooKeeperBackend


@pytest.fixture(params=["memory", "zookeeper"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A fresh coordinator of each kind."""
    if request.param == "memory":
        made: Backend = MemoryBackend()
    else:
        made = ZooKeeperBackend(request.getfixturevalue("zookeeper_url"))
    with made:
        yield made
