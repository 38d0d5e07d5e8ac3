"""What the Data API v1beta accepts: requests read strictly, and refused in its words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import msgspec

from leaderjobs.sandbox.google.answers import GoogleRefusal
from leaderjobs.sandbox.google_analytics.data import DIMENSIONS, INCOMPATIBLE, METRICS

MOST_LIMIT = 250_000
DEFAULT_LIMIT = 10_000
_AGO = re.compile(r"([0-9]{1,4})daysAgo")
_REPORT = frozenset(
    {
        "property",
        "dimensions",
        "metrics",
        "dateRanges",
        "dimensionFilter",
        "metricFilter",
        "offset",
        "limit",
        "metricAggregations",
        "orderBys",
        "currencyCode",
        "cohortSpec",
        "keepEmptyRows",
        "returnPropertyQuota",
        "comparisons",
        "conversionSpec",
    }
)
_CHECK = frozenset({"dimensions", "metrics", "dimensionFilter", "metricFilter", "compatibilityFilter"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A report that somebody wants."""

    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    days: tuple[date, ...]
    offset: int
    limit: int
    order: tuple[str, ...]
    currency: str
    empty: bool
    quota: bool
    where: tuple[str, str] | None
    """A dimension and the value that it must have."""


def report(body: bytes, today: date) -> Asked:
    """The request of `runReport`; GoogleRefusal where the API would refuse it."""
    asked = _members(body, _REPORT)
    dimensions, metrics = fields(asked)
    ranges = asked.get("dateRanges")
    if not isinstance(ranges, list) or len(ranges) != 1:
        raise _invalid("This stand-in wants exactly one date range.")
    first, last = (_day(ranges[0].get(name), today) for name in ("startDate", "endDate"))
    limit = _int64(asked.get("limit", str(DEFAULT_LIMIT)), "limit")
    order = tuple(each["dimension"]["dimensionName"] for each in asked.get("orderBys", []))
    if not set(order) <= set(dimensions):
        raise _invalid("orderBys names a dimension that the report does not have.")
    if not 1 <= limit <= MOST_LIMIT:
        raise _invalid(f"limit must be between 1 and {MOST_LIMIT}.")
    return Asked(
        dimensions=dimensions,
        metrics=metrics,
        days=tuple(first + timedelta(days=n) for n in range((last - first).days + 1)),
        offset=_int64(asked.get("offset", "0"), "offset"),
        limit=limit,
        order=order,
        currency=str(asked.get("currencyCode", "")),
        empty=asked.get("keepEmptyRows", False) is True,
        quota=asked.get("returnPropertyQuota", False) is True,
        where=_where(asked.get("dimensionFilter")),
    )


def compatibility(body: bytes, *, refuses: bool) -> dict[str, Any]:
    """The answer to `checkCompatibility`; `refuses`: an impossible report is an error, else it is marked."""
    asked = _members(body, _CHECK)
    dimensions, metrics = fields(asked, refuses=refuses)
    wanted = asked.get("compatibilityFilter")
    impossible = set(INCOMPATIBLE) <= {*dimensions, *metrics}
    fits = {
        name: "INCOMPATIBLE" if impossible and name in INCOMPATIBLE else "COMPATIBLE"
        for name in (*DIMENSIONS, *METRICS)
    }
    kept = {name: fit for name, fit in fits.items() if wanted in {None, fit}}
    return {
        "dimensionCompatibilities": [
            {"dimensionMetadata": {"apiName": name, "uiName": name}, "compatibility": fit}
            for name, fit in kept.items()
            if name in DIMENSIONS
        ],
        "metricCompatibilities": [
            {"metricMetadata": {"apiName": name, "type": METRICS[name]}, "compatibility": fit}
            for name, fit in kept.items()
            if name in METRICS
        ],
    }


def fields(asked: Mapping[str, Any], *, refuses: bool = True) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Dimensions and metrics, once all of them exist and may stand together."""
    dimensions = tuple(each["name"] for each in asked.get("dimensions", []))
    metrics = tuple(each["name"] for each in asked.get("metrics", []))
    for kind, names, known in (
        ("dimension", dimensions, {"date", *DIMENSIONS}),
        ("metric", metrics, set(METRICS)),
    ):
        for name in names:
            if name not in known:
                raise _invalid(f"Field {name} is not a valid {kind}. For a list of valid ones, see the docs.")
    if len(dimensions) > 9 or len(metrics) > 10:
        raise _invalid("Requests are limited to 9 dimensions and 10 metrics.")
    if refuses and set(INCOMPATIBLE) <= {*dimensions, *metrics}:
        raise _invalid(
            f"Please remove {INCOMPATIBLE[1]} to make the request compatible. "
            "The request's dimensions & metrics are incompatible."
        )
    return dimensions, metrics


def _members(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    try:
        asked = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise _invalid("Invalid JSON payload received.") from None
    unknown = set(asked) - known
    if unknown:
        raise _invalid(f'Invalid JSON payload received. Unknown name "{min(unknown)}"')
    return asked


def _day(value: object, today: date) -> date:
    if value in {"today", "yesterday"}:
        return today - timedelta(days=value == "yesterday")
    if isinstance(value, str) and (ago := _AGO.fullmatch(value)):
        return today - timedelta(days=int(ago[1]))
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise _invalid(f"Invalid date: {value}") from None


def _int64(value: object, name: str) -> int:
    """As protobuf's JSON has it: a text of digits; a number is accepted too."""
    if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).isdigit():
        return int(value)
    raise _invalid(f"Invalid value at '{name}' (TYPE_INT64)")


def _where(found: Any) -> tuple[str, str] | None:  # noqa: ANN401 - a document of the client's making
    if found is None:
        return None
    try:
        return str(found["filter"]["fieldName"]), str(found["filter"]["stringFilter"]["value"])
    except (KeyError, TypeError):
        raise _invalid("This stand-in knows only {filter: {fieldName, stringFilter: {value}}}.") from None


def _invalid(text: str) -> GoogleRefusal:
    return GoogleRefusal(400, "INVALID_ARGUMENT", text)
