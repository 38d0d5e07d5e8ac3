"""What a YouTube connection may be told."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated

import msgspec

from leaderjobs.connectors.google.auth import TOKEN_URI, GoogleSettings
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.connectors.youtube.streams import DATA_STREAMS
from leaderjobs.values import Duration, Secret

MOST_CHANNELS = 1000
MOST_PAGE_SIZE = 50
MOST_QUOTA = 100_000_000
MOST_REFRESH = timedelta(days=29)
"""Google's terms say 30 days; a day is left for the sync that notices."""
MOST_LOOK_BACK = timedelta(days=365)
MOST_TIMEOUT = timedelta(minutes=10)
MOST_REPORTS = 50
_CHANNEL = re.compile(r"UC[A-Za-z0-9_-]{22}|@[^\s,/?#&@]{1,100}")
_REPORT = re.compile(r"[a-z][a-z0-9_]{0,40}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,80}")
_FILTERS = re.compile(r"[A-Za-z0-9]+==[^;\s]+(;[A-Za-z0-9]+==[^;\s]+)*")


class ReportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME.reports.REPORT]` takes: a report of YouTube Analytics, and a stream."""

    dimensions: tuple[str, ...] = ("day",)
    metrics: tuple[str, ...]
    filters: str | None = None

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        for name, words in (("dimensions", self.dimensions), ("metrics", self.metrics)):
            if not words or len(set(words)) != len(words) or not all(map(_WORD.fullmatch, words)):
                raise ValueError(f"{name}: allowed: a list of YouTube's own names, each once")
        if "day" not in self.dimensions:
            raise ValueError(
                'dimensions: allowed: a list that has "day", by which a report is brought up to date'
            )
        if set(self.dimensions) & set(self.metrics):
            raise ValueError("metrics: allowed: names that are not among the dimensions")
        if self.filters is not None and _FILTERS.fullmatch(self.filters) is None:
            raise ValueError('filters: allowed: "NAME==VALUE", several joined by ";", such as "country==AT"')


class YouTubeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME]` takes beside `connector = "youtube"`."""

    api_key: Secret | None = None
    """For what everybody may see; reports need the three of OAuth instead."""
    client_id: Secret | None = None
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    token_uri: str = TOKEN_URI
    channels: tuple[str, ...] = ()
    """Ids or handles; with OAuth none stands for the user's own."""
    daily_quota: int = 10_000
    quota_reserve: int = 500
    refresh_every: Duration = Duration(days=7)
    """How old a complete listing of uploads and comments may become."""
    reports: dict[str, ReportSettings] = {}
    look_back: Duration = Duration(days=7)
    """How many days before the last one received are asked for again."""
    start_date: Annotated[date | None, msgspec.Meta(description="a day, such as 2026-01-31")] = None
    """The first day of the reports."""
    page_size: int = MOST_PAGE_SIZE
    """Uploads and videos in one request; of comment threads it is twice as many."""
    base_url: str = "https://youtube.googleapis.com"
    analytics_base_url: str = "https://youtubeanalytics.googleapis.com"
    timeout: Duration = Duration(seconds=30)

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        self._check_credentials()
        self._check_reports()
        check_base_url(self.base_url)
        try:
            check_base_url(self.analytics_base_url)
        except ValueError as error:
            raise ValueError(f"analytics_{error}") from None
        if not 1 <= self.daily_quota <= MOST_QUOTA:
            raise ValueError(f"daily_quota: allowed: 1 to {MOST_QUOTA}")
        if not 0 <= self.quota_reserve < self.daily_quota:
            raise ValueError("quota_reserve: allowed: 0 up to less than daily_quota")
        if not 1 <= self.page_size <= MOST_PAGE_SIZE:
            raise ValueError(f"page_size: allowed: 1 to {MOST_PAGE_SIZE}")
        if not timedelta(0) < self.refresh_every <= MOST_REFRESH:
            raise ValueError(f'refresh_every: allowed: more than "0s", up to "{MOST_REFRESH.days}d"')
        if not timedelta(0) <= self.look_back <= MOST_LOOK_BACK:
            raise ValueError(f'look_back: allowed: "0s" to "{MOST_LOOK_BACK.days}d"')
        if not timedelta(0) < self.timeout <= MOST_TIMEOUT:
            raise ValueError('timeout: allowed: more than "0s", up to "10m"')

    @property
    def google(self) -> GoogleSettings:
        """The credentials of OAuth, as Google's connectors share them."""
        return GoogleSettings(
            client_id=self.client_id,
            client_secret=self.client_secret,
            refresh_token=self.refresh_token,
            token_uri=self.token_uri,
        )

    def _check_credentials(self) -> None:
        if (self.api_key is not None) == self.google.has_credentials:
            raise ValueError("give api_key, or client_id, client_secret and refresh_token; not both")
        if self.api_key is not None and not self.channels:
            raise ValueError(
                'channels: allowed: ids or handles, such as ["@leaderjobs"]; a key has none of its own'
            )
        if len(self.channels) > MOST_CHANNELS or not all(map(_CHANNEL.fullmatch, self.channels)):
            raise ValueError(f'channels: allowed: up to {MOST_CHANNELS} ids "UC…" or handles "@name"')

    def _check_reports(self) -> None:
        taken = {stream.name for stream in DATA_STREAMS}
        named = all(_REPORT.fullmatch(name) and name not in taken for name in self.reports)
        if len(self.reports) > MOST_REPORTS or not named:
            raise ValueError(
                f"reports: allowed: up to {MOST_REPORTS} names of small letters, digits and underscores, "
                f"other than {', '.join(sorted(taken))}"
            )
        if self.reports and self.api_key is not None:
            raise ValueError(
                "reports: allowed: with client_id, client_secret and refresh_token, not with api_key"
            )
