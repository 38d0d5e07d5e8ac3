"""`status --output json` is a promise: its names and shapes, with servers up and down."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from leaderjobs.demo.rig import Plan, Rig
from tests.cluster.conftest import Start
from tests.cluster.watching import flowing, leaderjobs, start_workers, status

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]
PLAN = Plan(
    session_timeout=timedelta(seconds=4),
    transactions=20_000,
    page_size=100,
    latency=timedelta(milliseconds=30),
)
NUMBER = (int, float)
SHAPE: dict[str, Any] = {
    "cluster": str,
    "coordinator": {"kind": str, "state": str},
    "database": {"state": str},
    "leader": {"id": str, "term": int, "token": int, "since": str, "trusted_for_seconds": NUMBER},
    "members": [
        {
            "id": str,
            "role": str,
            "host": str,
            "pid": int,
            "version": str,
            "since": str,
            "lag": ({"markers": int, "seconds": NUMBER}, None),
        }
    ],
    "jobs": dict,
    "queues": [
        {
            "connection": str,
            "scheduled": int,
            "available": int,
            "running": int,
            "retryable": int,
            "uncertain": int,
        }
    ],
    "running": [
        {
            "id": int,
            "target": str,
            "attempt": int,
            "started_at": str,
            "progress": {
                "stream": str,
                "pages": int,
                "rows": int,
                "stream_rows": int,
                "total": (int, None),
                "rows_per_second": (NUMBER, None),
                "seconds_left": (NUMBER, None),
            },
        }
    ],
    "holds": [{"connection": str, "code": str, "message": str, "person": bool, "since": str, "until": str}],
    "next_fires": [{"schedule": str, "target": str, "fire_time": str, "time_zone": str}],
    "markers": [{"connection": str, "stream": str, "sequence": int, "rows": int, "committed_at": str}],
    "quotas": [{"name": str, "used": int, "limit": int, "resets_at": str}],
    "problems": [{"code": str, "message": str, "unhealthy": bool}],
}
STATES = {
    *("scheduled", "available", "running", "retryable"),
    *("completed", "discarded", "cancelled", "uncertain"),
}


def assert_shape(value: object, shape: object, where: str = "$") -> None:
    """Exactly these names, exactly these kinds of values."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert list(value) == list(shape), where
        for name, inner in shape.items():
            assert_shape(value[name], inner, f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for number, item in enumerate(value):
            assert_shape(item, shape[0], f"{where}[{number}]")
    elif isinstance(shape, tuple) and None in shape:
        if value is not None:
            assert_shape(value, shape[0], where)
    else:
        assert isinstance(value, shape), where  # type: ignore[arg-type]  # a type, or a tuple of types


def test_the_document_keeps_its_shape_while_a_sync_runs(start: Start) -> None:
    rig = start(PLAN)
    start_workers(rig, "a", "b")
    rig.enqueue()
    flowing(rig)
    told = status(rig)
    assert_shape(told, SHAPE)
    assert set(told["jobs"]) == STATES
    assert told["running"][0]["progress"]["pages"] > 0
    assert 0 < told["leader"]["trusted_for_seconds"] <= 4
    assert (told["coordinator"], told["database"]) == (
        {"kind": "zookeeper", "state": "reachable"},
        {"state": "reachable"},
    )


def test_the_document_says_what_is_missing_when_a_server_is_down(start: Start) -> None:
    rig = start(PLAN)
    start_workers(rig, "a")
    rig.postgres.stop()
    told, code = _checked(rig)
    assert code == 3
    assert told["database"] == {"state": "unreachable"}
    assert told["leader"]["id"] == "a"
    assert "database_unreachable" in _codes(told)
    assert_partly(told)

    rig.postgres.start()
    rig.zookeeper.stop()
    told, code = _checked(rig)
    assert code == 3
    assert told["coordinator"] == {"kind": "zookeeper", "state": "unreachable"}
    assert told["leader"] is None
    assert set(told["jobs"]) == STATES
    assert "coordinator_unreachable" in _codes(told)
    assert_partly(told)

    rig.postgres.stop()
    told, code = _checked(rig)
    assert code == 3
    assert {"coordinator_unreachable", "database_unreachable"} <= _codes(told)
    assert_partly(told)


def assert_partly(told: dict[str, Any]) -> None:
    """The same names, with nobody leading or nothing known of jobs."""
    shape = {**SHAPE, "leader": (SHAPE["leader"], None)}
    assert_shape(told, shape)


def _checked(rig: Rig) -> tuple[dict[str, Any], int]:
    ran = leaderjobs(rig, "status", "--check", "--output", "json")
    assert ran.stderr == ""
    told: dict[str, Any] = json.loads(ran.stdout)
    return told, ran.returncode


def _codes(told: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in told["problems"]}
