"""What every benchmark prints: figures of one shape, as a table for people or as JSON.

A figure is a set of measured values of ours beside a set of a peer's, taken in the same run on the same
machine, because only their ratio means something on another machine. Progress goes to stderr, so that
stdout is the result and nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypedDict

SIGNIFICANT_DIGITS = 4


class Document(TypedDict):
    """A figure as JSON."""

    name: str
    unit: str
    min: float
    median: float
    max: float
    runs: int
    peer: str | None
    peer_median: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity; `values` has one entry a run."""

    name: str
    unit: str
    values: Sequence[float]
    peer: str | None = None
    """Who else was measured, and doing what; None when there is nobody to compare with."""
    peer_values: Sequence[float] = ()

    def document(self) -> Document:
        """The figure with its statistics; `ratio` is our median divided by the peer's."""
        median = statistics.median(self.values)
        other = statistics.median(self.peer_values) if self.peer_values else None
        return Document(
            name=self.name,
            unit=self.unit,
            min=_rounded(min(self.values)),
            median=_rounded(median),
            max=_rounded(max(self.values)),
            runs=len(self.values),
            peer=self.peer,
            peer_median=None if other is None else _rounded(other),
            ratio=_rounded(median / other) if other else None,
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def parser(description: str, runs: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--output", choices=("table", "json"), default="table", help="default: table")
    made.add_argument("--runs", type=positive, default=runs, metavar="N", help=f"default: {runs}")
    return made


def parsed(made: argparse.ArgumentParser, peers: Collection[str]) -> argparse.Namespace:
    """The command line of a benchmark with `--peers`; leaves, saying what is allowed, for one unknown."""
    made.add_argument(
        "--peers",
        type=lambda text: [name for name in text.split(",") if name],
        default=list(peers),
        metavar="NAMES",
        help=f"any of {','.join(peers)}; default: all",
    )
    wanted = made.parse_args()
    unknown = sorted(set(wanted.peers) - set(peers))
    if unknown:
        made.error(f"--peers {unknown[0]}: allowed: {', '.join(peers)}")
    return wanted


def positive(text: str) -> int:
    """A count of at least one, for argparse."""
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("allowed: 1 or more")
    return count


def progress(line: str) -> None:
    """Say what is being measured."""
    print(line, file=sys.stderr, flush=True)


def show(figures: Sequence[Figure], output: str) -> None:
    """Print the result on stdout."""
    documents = [figure.document() for figure in figures]
    print(json.dumps(documents, indent=2) if output == "json" else table(documents))


def table(documents: Sequence[Document]) -> str:
    """Aligned columns, the peer last."""
    rows: list[tuple[str, ...]] = [
        ("figure", "unit", "min", "median", "max", "runs", "peer median", "ratio", "peer")
    ]
    rows += [
        (
            document["name"],
            document["unit"],
            *(f"{value:g}" for value in (document["min"], document["median"], document["max"])),
            str(document["runs"]),
            "" if document["peer_median"] is None else f"{document['peer_median']:g}",
            "" if document["ratio"] is None else f"{document['ratio']:.2f}",
            document["peer"] or "",
        )
        for document in documents
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    words = (0, 1, len(widths) - 1)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
