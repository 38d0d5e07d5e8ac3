"""An operation in Python of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leaderjobs.connectors.rest.settings import RestOperationSettings
from leaderjobs.errors import (
    ConfigError,
)
from tests.unit.connectors.test_rest_operation import connector
from tests.unit.connectors.test_rest_settings import declared


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module and give its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source: str) -> str:
        name = f"written_{len(list(tmp_path.iterdir()))}"
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return name

    return write


GOOD = """
from datetime import timedelta
from leaderjobs.connectors.rest.operation import RestOperation
from leaderjobs.connectors.base import Operation
from leaderjobs.model.settle import Rules

class Mine(Operation):
    rules = Rules(None, looks_up=False)
    def parse(self, given): return given
    def business_key(self, arguments): return "k"
    def build(self, arguments, idempotency_key): ...
    def classify(self, answer): ...

class NoRules(Mine):
    rules = "none"

class Abstract(Operation): ...

class Raising(Mine):
    def __init__(self): raise RuntimeError("two\\nlines")

def function(): ...
"""


def test_an_operation_of_the_users_own(module: Callable[[str], str]) -> None:
    name = module(GOOD)
    made = connector(
        "http://127.0.0.1:1",
        mine=RestOperationSettings(python=f"{name}:Mine"),
        slow=RestOperationSettings(python=f"{name}:Mine", timeout=declared(timeout="70s").timeout),
    )
    assert {each.name: each.timeout.total_seconds() for each in made.operations.values()} == {
        "mine": 8,
        "slow": 70,
    }
    made.close()


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("{}:Nobody", "AttributeError"),
        ("{}:function", "no subclass of leaderjobs.connectors.base.Operation"),
        ("{}:timedelta", "no subclass"),
        ("{}:Abstract", "TypeError"),
        ("{}:NoRules", "its rules are no leaderjobs.model.settle.Rules"),
        ("{}:Raising", "RuntimeError: two lines"),
        ("nowhere.{}:Mine", "ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_python_that_cannot_be_had_is_told_on_one_line(
    module: Callable[[str], str], python: str, sentence: str
) -> None:
    spec = python.format(module(GOOD))
    with pytest.raises(ConfigError, match=sentence) as caught:
        connector("http://127.0.0.1:1", mine=RestOperationSettings(python=spec))
    assert str(caught.value).startswith(f"operations.shop.mine: python = {spec}: ")
    assert "\n" not in str(caught.value)
