"""Google Analytics 4: any reports of one property, by the Data API v1beta.

One request is about one day: over longer spans Google samples. A day lands in one transaction and takes the
place of what the table held of it, so a combination that Google no longer counts disappears:

    all rows in one page            -> REPLACE of the day
    page, more to come              -> STAGE    marker {next: the day, offset}: a successor goes on there
    the day's last page             -> APPLY, which replaces the day
    the day changed between pages   -> RESTART of the day

Google restates a day for two or three more, so every sync asks again for the days of `look_back`. Days are
those of the property's time zone, which its answers tell. `place` says where a sync begins.

A report with other fields makes other rows: its whole history is pulled again, day by day over the old one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from leaderjobs import clock
from leaderjobs.connectors.base import Connector, ReadContext
from leaderjobs.connectors.google.auth import GoogleCredentials, GoogleSettings
from leaderjobs.connectors.google_analytics.errors import (
    SERVER_ERROR,
    SERVER_ERROR_PAUSE,
    Quotas,
    refusal,
)
from leaderjobs.connectors.google_analytics.place import Place
from leaderjobs.connectors.google_analytics.streams import Page, Report, ReportSettings
from leaderjobs.connectors.outcome import NO_ANSWER
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.patience import until_answered
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.errors import FatalError, TransientError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import Window
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Stream
from leaderjobs.values import Duration, Rate

SCOPES = ("https://www.googleapis.com/auth/analytics.readonly",)
MOST_REPORTS = 100
MOST_PAGE_SIZE = 250_000
MOST_LOOK_BACK = timedelta(days=60)
MOST_TIMEOUT = timedelta(minutes=10)
MOST_RESERVE = 90
MOST_ROWS = 100_000_000
"""Of one day."""
MOST_RESTARTS = 3
"""Of days, in one read."""
RATE = Rate(50, timedelta(seconds=1))
"""Google counts tokens and not requests; this only keeps an error of ours from becoming a flood."""
EARLIEST = date(2015, 8, 14)
"""Google's own; there is no data from before."""
_REPORT_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_PROPERTY = re.compile(r"[0-9]{1,20}")
_PROPERTY_WORDS = 'the number of a property, such as "123456789"'
_START_WORDS = f"a day, such as 2026-01-31, from {EARLIEST}"
_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
Shape = TypeVar("Shape")


class GoogleAnalyticsSettings(GoogleSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME]` takes beside `connector = "google_analytics"`; of one property."""

    property: Annotated[str, msgspec.Meta(description=_PROPERTY_WORDS)]
    """Its number, as Google Analytics shows it under Admin."""
    reports: dict[str, ReportSettings]
    start_date: Annotated[date, msgspec.Meta(description=_START_WORDS)]
    """The first day of all reports."""
    look_back: Duration = Duration(days=3)
    """Whole days before today that every sync asks for again."""
    include_today: bool = True
    """Also pull the day that is not over; the next sync replaces it."""
    page_size: int = 10_000
    quota_reserve: int = 10
    """Percent of each quota of the property that is left to others."""
    base_url: str = "https://analyticsdata.googleapis.com"
    timeout: Duration = Duration(seconds=60)
    """Of one request, from the connect to the last byte."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        super().__post_init__()
        check_base_url(self.base_url)
        if not self.has_credentials:
            raise ValueError("service_account is missing; or give client_id, client_secret and refresh_token")
        if _PROPERTY.fullmatch(self.property) is None:
            raise ValueError(f"property: allowed: {_PROPERTY_WORDS}")
        if not 1 <= len(self.reports) <= MOST_REPORTS or not all(map(_REPORT_NAME.fullmatch, self.reports)):
            raise ValueError(
                f"reports: allowed: 1 to {MOST_REPORTS} tables [connections.NAME.reports.REPORT], each name "
                "of up to 48 small letters, digits and underscores"
            )
        if self.start_date < EARLIEST:
            raise ValueError(f"start_date: allowed: {_START_WORDS}")
        if not _DAY <= self.look_back <= MOST_LOOK_BACK or self.look_back % _DAY:
            raise ValueError('look_back: allowed: whole days, from "1d" to "60d"')
        if not 1 <= self.page_size <= MOST_PAGE_SIZE:
            raise ValueError(f"page_size: allowed: 1 to {MOST_PAGE_SIZE}")
        if not 0 <= self.quota_reserve <= MOST_RESERVE:
            raise ValueError(f"quota_reserve: allowed: a percentage from 0 to {MOST_RESERVE}")
        if not timedelta(0) < self.timeout <= MOST_TIMEOUT:
            raise ValueError('timeout: allowed: more than "0s", up to "10m"')


class _Named(msgspec.Struct, rename="camel"):
    api_name: str = ""


class _DimensionFit(msgspec.Struct, rename="camel"):
    dimension_metadata: _Named
    compatibility: str = ""


class _MetricFit(msgspec.Struct, rename="camel"):
    metric_metadata: _Named
    compatibility: str = ""


class _Fit(msgspec.Struct, rename="camel"):
    """The members of CheckCompatibilityResponse that we read."""

    dimension_compatibilities: list[_DimensionFit] = []
    metric_compatibilities: list[_MetricFit] = []

    @property
    def unfit(self) -> set[str]:
        fits = [
            (each.dimension_metadata.api_name, each.compatibility) for each in self.dimension_compatibilities
        ]
        fits += [(each.metric_metadata.api_name, each.compatibility) for each in self.metric_compatibilities]
        return {name for name, fit in fits if fit == "INCOMPATIBLE"}


class _MetadataName(msgspec.Struct):
    name: str


class GoogleAnalyticsConnector(Connector):
    """One property; credentials are read anew for every token."""

    name: ClassVar[str] = "google_analytics"
    settings: ClassVar[type[msgspec.Struct]] = GoogleAnalyticsSettings

    def __init__(self, connection: str, options: GoogleAnalyticsSettings, paces: Paces) -> None:
        """`paces` are those of the process."""
        from leaderjobs.connectors.http import HttpClient

        self.streams = self.streams_of(connection, options)
        self._options = options
        self._reports = {name: Report(options.property, name, each) for name, each in options.reports.items()}
        self._http = HttpClient(options.base_url, timeout=options.timeout)
        self._credentials = GoogleCredentials(options, SCOPES, timeout=options.timeout)
        self._quotas = Quotas(options.property, options.quota_reserve)
        self._pace = paces.of(connection, "reports", RATE)

    @classmethod
    def streams_of(cls, connection: str, options: GoogleAnalyticsSettings) -> tuple[Stream, ...]:
        """One for every report, in the order of the configuration."""
        del connection
        return tuple(Report(options.property, name, each).stream() for name, each in options.reports.items())

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """As the contract says: day by day, each in one transaction."""
        if stream not in self._reports:
            raise FatalError(f"this connection has no report {stream!r}; it has {', '.join(self._reports)}")
        return self._read(self._reports[stream], Place.parse(cursor), context)

    def check(self) -> None:
        """The name of the property's metadata: proves the credentials and the access to the property."""
        self._send("GET", "/metadata?fields=name", None, _MetadataName)

    def close(self) -> None:
        """As the contract says: a request that is out ends at once with Interrupted."""
        self._credentials.close()
        self._http.close()

    def _read(self, report: Report, found: Place | None, context: ReadContext) -> Iterator[Batch]:
        if found is not None and found.definition != report.definition:
            context.log(
                f"report {report.name} has other fields than before: its whole history is pulled again"
            )
        if found is None or found.definition != report.definition:
            self._check_compatibility(report, context)
        zone = found.zone if found is not None else self._ask_zone(report, context)
        place = self._begin(report, found, zone, context)
        if found is not None and found.offset and place.offset != found.offset:
            yield _batch(report, b"{}", 0, place, Landing.RESTART)
        restarts = 0
        while not place.over:
            page = self._page(report, place, context)
            end = place.offset + min(len(page.rows), self._options.page_size)
            if (place.offset and page.row_count != place.rows) or (not page.rows and end < page.row_count):
                restarts += 1
                left = page.rows and place.next >= _today(place.zone)
                if restarts > MOST_RESTARTS and not left:
                    raise _unsteady(report, place, page)
                if place.offset:
                    place = place.again()
                    yield _batch(report, b"{}", 0, place, Landing.RESTART)
                if restarts > MOST_RESTARTS:
                    context.log(
                        f"report {report.name}: today changes while it is read; left for the next sync"
                    )
                    return
                continue
            body = report.rows(page, place.next)
            scope = ("date", place.next.isoformat())
            last = end >= page.row_count
            place = place.within(page.metadata.time_zone)
            landing = (Landing.APPLY if place.offset else Landing.REPLACE) if last else Landing.STAGE
            place = place.complete() if last else place.staged(end, page.row_count)
            yield _batch(report, body, len(page.rows), place, landing, scope if last else None)

    def _begin(self, report: Report, found: Place | None, zone: str, context: ReadContext) -> Place:
        """The pass that this read goes on with, or begins."""
        options, start = self._options, self._options.start_date
        today = _today(zone)
        until = today if options.include_today else today - _DAY
        window = context.window
        if window is not None:
            start, until = _days(window, _zone(zone), start, until)
        if found is None or found.definition != report.definition:
            return Place(report.definition, start, zone, start, until)
        if window is not None:
            return found
        if start < found.start:
            context.log(
                f"start_date is earlier than before: report {report.name} is pulled again from {start}"
            )
            return Place(report.definition, start, zone, start, until)
        return found.onward(start, today - options.look_back, until)

    def _page(self, report: Report, place: Place, context: ReadContext) -> Page:
        """The page at `place`."""
        fields = report.request(place.next, place.offset, self._options.page_size)
        page = self._ask(":runReport", fields, Page, context)
        self._quotas.observe(page.property_quota, context)
        if page.row_count > MOST_ROWS:
            raise FatalError(
                f"report {report.name} has {page.row_count} rows on {place.next}; use fewer dimensions"
            )
        return page

    def _ask_zone(self, report: Report, context: ReadContext) -> str:
        """The property's time zone, by the smallest report there is; once in a report's life."""
        fields = {
            "metrics": [{"name": report.settings.metrics[0]}],
            "dateRanges": [{"startDate": "yesterday", "endDate": "yesterday"}],
            "limit": "1",
            "returnPropertyQuota": True,
        }
        page = self._ask(":runReport", fields, Page, context)
        self._quotas.observe(page.property_quota, context)
        return page.metadata.time_zone

    def _check_compatibility(self, report: Report, context: ReadContext) -> None:
        """FatalError that names the fields which cannot stand in one report."""
        fields = {**report.fields, "compatibilityFilter": "INCOMPATIBLE"}
        try:
            fit = self._ask(":checkCompatibility", fields, _Fit, context)
        except FatalError as error:
            if type(error) is not FatalError:
                raise
            raise FatalError(f"report {report.name}: {error}", code=error.code) from None
        unfit = [
            name for name in (*report.settings.dimensions, *report.settings.metrics) if name in fit.unfit
        ]
        if unfit:
            raise FatalError(
                f"report {report.name}: {', '.join(unfit)} cannot stand together with its other fields; "
                "make two reports of it",
                code="incompatible",
            )

    def _ask(
        self, method: str, fields: Mapping[str, object], shape: type[Shape], context: ReadContext
    ) -> Shape:
        """The answer to a POST, within the quotas; after a server error one more try."""
        tried = 0
        while True:
            self._quotas.guard()
            try:
                return until_answered(
                    lambda: self._send("POST", method, fields, shape, context), self._pace, context
                )
            except TransientError as error:
                if error.code != SERVER_ERROR:
                    raise
                self._quotas.count_server_error(context)
                tried += 1
                if tried == 2:
                    raise
            context.wait(SERVER_ERROR_PAUSE)

    def _send(
        self,
        verb: str,
        method: str,
        fields: Mapping[str, object] | None,
        shape: type[Shape],
        context: ReadContext | None = None,
    ) -> Shape:
        path = f"/v1beta/properties/{self._options.property}{method}"
        body = b"" if fields is None else msgspec.json.encode(fields)
        typed = {} if fields is None else {"Content-Type": "application/json"}
        answer = self._credentials.authorized(
            lambda headers: self._http.fetch(verb, path, body, {**typed, **headers}),
            lambda: self._pace.take(context) if context is not None else None,
        )
        what = path.partition("?")[0]
        if answer.status != 200:
            raise refusal(what, answer)
        try:
            str(answer.body, "utf-8")
            return msgspec.json.decode(answer.body, type=shape)
        except msgspec.ValidationError as error:
            raise FatalError(f"Google's answer to {what} is out of contract: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise TransientError(
                f"{what} was answered with something that is not JSON", code=NO_ANSWER
            ) from None


def _batch(
    report: Report,
    body: bytes,
    rows: int,
    place: Place,
    landing: Landing,
    scope: tuple[str, str] | None = None,
) -> Batch:
    named = () if landing is Landing.RESTART else ("rows",)
    return Batch(report.name, body, named, None, place.cursor(), landing, rows, scope=scope)


def _unsteady(report: Report, place: Place, page: Page) -> FatalError | TransientError:
    told = f"report {report.name} of {place.next}"
    if not page.rows:
        return FatalError(
            f"{told}: Google says there are {page.row_count} rows, but sends none at {place.offset}"
        )
    return TransientError(f"{told}: its rows change faster than its pages can be read; raise page_size")


def _days(window: Window, zone: ZoneInfo, start: date, until: date) -> tuple[date, date]:
    """The days that a window touches, in the property's time zone, up to the last one there is."""
    if window.since is not None:
        start = window.since.astimezone(zone).date()
    if window.until is not None:
        until = min(until, _last(window.until, zone))
    return max(start, EARLIEST), until


def _last(until: datetime, zone: ZoneInfo) -> date:
    return (until - _INSTANT).astimezone(zone).date()


def _today(zone: str) -> date:
    return clock.now().astimezone(_zone(zone)).date()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FatalError(
            f"the property's time zone {name[:60]!r} is unknown here; install the system's tzdata"
        ) from None
