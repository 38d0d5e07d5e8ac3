"""The shape and the statistics of a figure, which scripts rely on."""

from __future__ import annotations

import json

import pytest

from benchmarks import figures
from benchmarks.cluster import Commit
from benchmarks.figures import Figure, percentile
from benchmarks.replica_lag import Arrival, lags
from leaderjobs import clock

NAMES = ["name", "unit", "min", "median", "max", "runs", "peer", "peer_median", "ratio"]


def test_document_has_the_promised_names_and_our_median_over_the_peer_s() -> None:
    document = Figure("speed", "rows/s", [30.0, 10.0, 20.0], "COPY", [80.0, 40.0, 40.0]).document()

    assert list(document) == NAMES
    assert document == {
        "name": "speed",
        "unit": "rows/s",
        "min": 10.0,
        "median": 20.0,
        "max": 30.0,
        "runs": 3,
        "peer": "COPY",
        "peer_median": 40.0,
        "ratio": 0.5,
    }


def test_document_without_a_peer_has_no_ratio() -> None:
    document = Figure("wait", "ms", [1.23456, 2.0]).document()

    assert (document["peer"], document["peer_median"], document["ratio"]) == (None, None, None)
    assert document["min"] == 1.235


def test_json_on_stdout_is_the_list_of_documents(capsys: pytest.CaptureFixture[str]) -> None:
    figures.progress("measuring")
    figures.show([Figure("a", "s", [1.0]), Figure("b", "s", [2.0])], "json")

    captured = capsys.readouterr()
    assert [document["name"] for document in json.loads(captured.out)] == ["a", "b"]
    assert captured.err == "measuring\n"


def test_table_has_a_line_for_each_figure(capsys: pytest.CaptureFixture[str]) -> None:
    figures.show([Figure("speed", "rows/s", [1.0, 2.0], "COPY", [3.0])], "table")

    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "figure",
        "unit",
        "min",
        "median",
        "max",
        "runs",
        "peer",
        "median",
        "ratio",
        "peer",
    ]
    assert line.split() == ["speed", "rows/s", "1", "1.5", "2", "2", "3", "0.50", "COPY"]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([5.0], 0.99, 5.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([float(n) for n in range(1, 201)], 0.99, 198.0)],
)
def test_percentile_is_a_measured_value_by_nearest_rank(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(list(reversed(values)), share) == expected


def test_lag_ends_with_the_first_arrival_that_covers_the_commit() -> None:
    at = clock.now()
    start = at.timestamp()
    commits = [Commit(sequence, 1, at) for sequence in (1, 2, 3, 4)]
    arrivals = [Arrival(1, start + 0.1), Arrival(3, start + 0.3)]

    assert lags(commits, arrivals) == pytest.approx([100, 300, 300], abs=0.01)
