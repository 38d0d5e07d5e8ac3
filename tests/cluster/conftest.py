"""Clusters of real processes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from leaderjobs.demo.rig import Plan, Rig

Start = Callable[[Plan], Rig]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a rig (servers and provider, no workers yet); everything ends with the test."""
    with ExitStack() as stack:

        def begin(plan: Plan) -> Rig:
            directory = tmp_path / "rig"
            directory.mkdir()
            return stack.enter_context(Rig(directory, plan))

        yield begin
