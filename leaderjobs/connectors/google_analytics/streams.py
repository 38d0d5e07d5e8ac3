"""A report of the configuration as a stream, as a request, and its answers as rows.

The table has one row for every day and combination of dimensions. Its key is a digest of the dimensions
beside property and day: their values may be empty, or longer than an index can hold. What says how far the
figures can be trusted (`sampled`, `thresholded`, `other_row`) stands on every row of the day, so that no
query can miss it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from leaderjobs.connectors.google_analytics.errors import PropertyQuota
from leaderjobs.errors import FatalError
from leaderjobs.model.stream import Column, ColumnType, CursorKind, Stream

MOST_DIMENSIONS = 8
"""Google allows 9, and one of them is the day."""
MOST_METRICS = 10
MOST_COLUMN_CHARS = 63
MOST_EXPONENT = 40
DATE = "date"
OTHER = "(other)"
"""Stands for the values of dimensions in the row that counts the rest."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(:[A-Za-z0-9_]+)?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|:")
_FACTS = (
    Column("sampled", ColumnType.BOOLEAN, ("sampled",), "Extrapolated by Google from a part of the events"),
    Column(
        "thresholded",
        ColumnType.BOOLEAN,
        ("thresholded",),
        "Rows of the day are withheld by Google, so that nobody can be recognised",
    ),
    Column(
        "other_row",
        ColumnType.BOOLEAN,
        ("other_row",),
        "The day had too many combinations: the rest is counted together under (other)",
    ),
    Column("currency", ColumnType.TEXT, ("currency",), "Of the metrics that are money; ISO 4217"),
    Column("time_zone", ColumnType.TEXT, ("time_zone",), "The property's, in which the day began and ended"),
)
_TAKEN = frozenset({"property", DATE, "key", *(column.name for column in _FACTS)})


class ReportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME.reports.REPORT]` takes; the names are those of the Data API."""

    dimensions: tuple[str, ...] = ()
    """Beside `date`, which is always the first."""
    metrics: tuple[str, ...]
    dimension_filter: dict[str, Any] | None = None
    """A FilterExpression of the Data API, as it is."""
    currency: str | None = None
    """Of metrics that are money; None: the property's."""
    keep_empty_rows: bool = False

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        _check_names(self.dimensions, "dimensions", 0, MOST_DIMENSIONS)
        _check_names(self.metrics, "metrics", 1, MOST_METRICS)
        columns = [_column_name(name) for name in (*self.dimensions, *self.metrics)]
        if len(set(columns)) < len(columns):
            raise ValueError("metrics: allowed: names that differ from each other and from the dimensions")
        if self.currency is not None and _CURRENCY.fullmatch(self.currency) is None:
            raise ValueError('currency: allowed: three capital letters, such as "EUR"')


class _Header(msgspec.Struct):
    name: str


class _Value(msgspec.Struct, gc=False):
    value: str = ""


class _Row(msgspec.Struct, gc=False, rename="camel"):
    dimension_values: list[_Value] = []
    metric_values: list[_Value] = []


class _Metadata(msgspec.Struct, rename="camel"):
    time_zone: str
    currency_code: str = ""
    subject_to_thresholding: bool = False
    sampling_metadatas: list[msgspec.Raw] = []
    data_loss_from_other_row: bool = False


class Page(msgspec.Struct, rename="camel"):
    """The members of RunReportResponse that we read; Google leaves out what is empty or 0."""

    metadata: _Metadata
    dimension_headers: list[_Header] = []
    metric_headers: list[_Header] = []
    rows: list[_Row] = []
    row_count: int = 0
    """Of all pages."""
    property_quota: PropertyQuota | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One report of one property."""

    property_id: str
    name: str
    settings: ReportSettings

    @property
    def fields(self) -> dict[str, object]:
        """What a request for it and a check of it have in common."""
        found: dict[str, object] = {
            "dimensions": [{"name": name} for name in self._dimensions],
            "metrics": [{"name": name} for name in self.settings.metrics],
        }
        if self.settings.dimension_filter is not None:
            found["dimensionFilter"] = self.settings.dimension_filter
        return found

    @property
    def definition(self) -> str:
        """A digest of all that decides what the rows are."""
        document = [self.property_id, self.settings]
        return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()[:16]

    def request(self, day: date, offset: int, limit: int) -> dict[str, object]:
        """A page of one day; the order is that of all dimensions, so that pages fit together."""
        found: dict[str, object] = {
            **self.fields,
            "dateRanges": [{"startDate": day.isoformat(), "endDate": day.isoformat()}],
            "orderBys": [{"dimension": {"dimensionName": name}} for name in self._dimensions],
            "offset": str(offset),
            "limit": str(limit),
            "keepEmptyRows": self.settings.keep_empty_rows,
            "returnPropertyQuota": True,
        }
        if self.settings.currency is not None:
            found["currencyCode"] = self.settings.currency
        return found

    def rows(self, page: Page, day: date) -> bytes:
        """A batch's body: the page's rows as objects; FatalError where they are not what was asked for."""
        if not page.rows:
            return b'{"rows":[]}'
        names = [header.name for header in page.dimension_headers]
        metrics = [header.name for header in page.metric_headers]
        if tuple(names) != self._dimensions or tuple(metrics) != self.settings.metrics:
            raise FatalError(
                f"Google Analytics answered report {self.name} with other columns than asked for"
            )
        facts = _facts(page.metadata)
        begun = hashlib.sha256(msgspec.json.encode(names))
        asked = {day.strftime("%Y%m%d"), OTHER}
        found = []
        for row in page.rows:
            values = [each.value for each in row.dimension_values]
            numbers = [_plain(each.value) for each in row.metric_values]
            if len(values) != len(names) or len(numbers) != len(metrics) or values[0] not in asked:
                raise FatalError(
                    f"Google Analytics answered report {self.name} of {day} with a row of other shape or day"
                )
            digest = begun.copy()
            digest.update(msgspec.json.encode(values))
            found.append(
                {
                    "property": self.property_id,
                    DATE: day.isoformat(),
                    "key": digest.hexdigest()[:32],
                    **dict(zip(names[1:], values[1:], strict=True)),
                    **dict(zip(metrics, numbers, strict=True)),
                    **facts,
                }
            )
        return msgspec.json.encode({"rows": found})

    def stream(self) -> Stream:
        """The stream, and so the table, of the report."""
        return Stream(
            name=self.name,
            key=("property", DATE, "key"),
            comment="A Google Analytics report: one row for every day and combination of its dimensions",
            columns=(
                Column("property", ColumnType.TEXT, ("property",), "Number of the Analytics property"),
                Column(DATE, ColumnType.DATE, (DATE,), "Day in the property's time zone", indexed=True),
                *(
                    Column(_column_name(name), ColumnType.TEXT, (name,), f"Dimension {name}")
                    for name in self.settings.dimensions
                ),
                *(
                    Column(
                        _column_name(name),
                        ColumnType.NUMERIC,
                        (name,),
                        f"Metric {name}; not to be added up where it counts users or is a share",
                    )
                    for name in self.settings.metrics
                ),
                *_FACTS,
            ),
            cursor=CursorKind.WINDOW,
            cost="a request for every day that is new or looked back on, and for every page of a longer one: "
            "some 10 tokens each, of 200,000 a day and 14,000 an hour for one project",
            windowed=True,
        )

    @property
    def _dimensions(self) -> tuple[str, ...]:
        return (DATE, *self.settings.dimensions)


def _facts(metadata: _Metadata) -> Mapping[str, object]:
    return {
        "sampled": bool(metadata.sampling_metadatas),
        "thresholded": metadata.subject_to_thresholding,
        "other_row": metadata.data_loss_from_other_row,
        "currency": metadata.currency_code,
        "time_zone": metadata.time_zone,
    }


def _plain(number: str) -> str:
    """As it was sent; with an exponent, which numeric columns do not read, in digits of the same value."""
    if "E" not in number and "e" not in number:
        return number
    try:
        value = Decimal(number)
    except InvalidOperation:
        return number
    return f"{value:f}" if value.is_finite() and abs(value.adjusted()) <= MOST_EXPONENT else number


def _column_name(name: str) -> str:
    """`customEvent:plan_name` becomes `custom_event_plan_name`."""
    return _WORDS.sub("_", name).lower()


def _check_names(names: tuple[str, ...], setting: str, least: int, most: int) -> None:
    right = least <= len(names) <= most and all(
        _NAME.fullmatch(name) and name not in _TAKEN and len(_column_name(name)) <= MOST_COLUMN_CHARS
        for name in names
    )
    if not right or len({_column_name(name) for name in names} - _TAKEN) < len(names):
        raise ValueError(
            f"{setting}: allowed: {least} to {most} different names of the Data API, such as sessionSource "
            f"or customEvent:plan; not {', '.join(sorted(_TAKEN))}"
        )
