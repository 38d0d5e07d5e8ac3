"""YouTube on loopback: the lists of the Data API v3, reports of Analytics v2, and Google's token endpoint."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import RLock
from typing import Any, ClassVar
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import msgspec

from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.google.answers import GoogleRefusal
from leaderjobs.sandbox.google.answers import refuse as google_refuse
from leaderjobs.sandbox.google.tokens import PATH, GoogleTokens
from leaderjobs.sandbox.server import Sandbox
from leaderjobs.sandbox.settable_clock import SettableClock
from leaderjobs.sandbox.youtube.answers import YouTubeRefusal, quota_exceeded, refuse, strike
from leaderjobs.sandbox.youtube.calls import Calls, Query
from leaderjobs.sandbox.youtube.days import Days
from leaderjobs.sandbox.youtube.shelf import Json, Shelf, newer

DATA = "/youtube/v3/"
REPORTS = "/v2/reports"
MOST_VIDEOS = 100_000
CALIFORNIA = ZoneInfo("America/Los_Angeles")
REPORT_DAYS = timedelta(days=40)
"""That there are reports of from the beginning."""
REPORT_LAG = timedelta(days=2)
_SCOPE = "https://www.googleapis.com/auth/"
_DATA_SCOPES = frozenset({f"{_SCOPE}youtube.readonly", f"{_SCOPE}youtube.force-ssl"})
_COMMENT_SCOPES = frozenset({f"{_SCOPE}youtube.force-ssl"})
_REPORT_SCOPES = frozenset({f"{_SCOPE}yt-analytics.readonly"})


class YouTubeSandbox(Sandbox):
    """Some channels that everybody may see; the first is that of the user whose grant `refresh_token` is."""

    methods: ClassVar[frozenset[str]] = frozenset({"GET", "POST"})

    def __init__(
        self,
        *,
        seed: int = 0,
        channels: int = 1,
        videos: int = 60,
        threads: int = 60,
        daily_quota: int = 10_000,
        port: int = 0,
        latency: timedelta = timedelta(0),
    ) -> None:
        """So many videos and comment threads in each channel; the seed decides all content."""
        super().__init__(seed=seed, port=port, latency=latency)
        if not 0 <= channels * max(videos, threads) <= MOST_VIDEOS:
            raise ValueError(f"videos: allowed: 0 to {MOST_VIDEOS} in all")
        self._state = RLock()
        self._random = random.Random(f"{seed}/choice")
        self.clock = SettableClock()
        self.daily_quota = daily_quota
        self.api_key = f"AIza{random.Random(f'{seed}/key').getrandbits(140):035x}"
        self.tokens = GoogleTokens(seed, self.clock, scopes=tuple(_DATA_SCOPES | _REPORT_SCOPES))
        self.client_id = self.tokens.client_id
        self.client_secret = self.tokens.client_secret
        self.refresh_token = self.tokens.refresh_token
        self.shelf = Shelf(seed, channels, videos, threads)
        today = self.today()
        self.days = Days(seed, today - REPORT_DAYS, today - REPORT_LAG)
        self._spent: Counter[tuple[str, date]] = Counter()
        self._calls = Calls(self.shelf, self.days)

    def now(self) -> datetime:
        """By this sandbox's clock, to the second."""
        return datetime.fromtimestamp(int(self.clock.now()), UTC)

    def today(self) -> date:
        """The day in California."""
        return self.now().astimezone(CALIFORNIA).date()

    @property
    def channel_ids(self) -> list[str]:
        """Of the channels that exist."""
        return [channel.id for channel in self.shelf.channels]

    def rows(self, stream: str = "videos", *, owner: bool = False) -> dict[str, dict[str, Any]]:
        """What is there now, by id: what a copy must equal; `owner`: for the first channel's user."""
        with self._state:
            rendered = self._calls.all_of(stream, owner=owner)
            return {row["id"]: _exact(row) for row in rendered}

    def report_rows(self, dimensions: tuple[str, ...], metrics: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """A report's rows of all days that are shown, by id."""
        with self._state:
            table = self.days.table(dimensions, metrics, date.min, date.max)
            rows = [_exact(dict(zip((*dimensions, *metrics), row, strict=True))) for row in table]
        keys = [[row[name] for name in dimensions] for row in rows]
        return {
            key[0] if len(key) == 1 else msgspec.json.encode(key).decode().replace(",", ", "): row
            for key, row in zip(keys, rows, strict=True)
        }

    def spent(self) -> int:
        """Units used today by the API key and the user's client."""
        with self._state:
            return sum(units for (_, day), units in self._spent.items() if day == self.today())

    def add(self, count: int) -> list[str]:
        """New videos, in the channels by turns; their ids."""
        with self._state:
            channels = self.shelf.channels
            return [self.shelf.add_video(channels[n % len(channels)], self.now()) for n in range(count)]

    def modify(self, count: int) -> list[str]:
        """Change title and views of up to `count` videos; their ids."""
        with self._state:
            chosen = self._some(self.shelf.all_videos(), count)
            for video in chosen:
                self.shelf.change(newer(video))
            return [video.id for video in chosen]

    def remove(self, count: int) -> list[str]:
        """Delete up to `count` videos; their ids."""
        with self._state:
            chosen = self._some(self.shelf.all_videos(), count)
            for video in chosen:
                self.shelf.drop(video.id)
            return [video.id for video in chosen]

    def hide(self, count: int) -> list[str]:
        """Make up to `count` videos private; the playlist still names them."""
        with self._state:
            chosen = self._some([each for each in self.shelf.all_videos() if not each.private], count)
            for video in chosen:
                self.shelf.change(replace(video, private=True))
            return [video.id for video in chosen]

    def comment(self, count: int) -> list[str]:
        """New comment threads, about the first channel; their ids."""
        with self._state:
            channel = self.shelf.channels[0]
            videos = self.shelf.videos(channel)
            about = videos[0].id if videos else ""
            return [self.shelf.add_thread(channel, about, self.now()) for _ in range(count)]

    def edit_comments(self, count: int) -> list[str]:
        """Up to `count` comments are edited by their authors; the threads' ids."""
        with self._state:
            chosen = self._some(self.shelf.all_threads(), count)
            for thread in chosen:
                self.shelf.change(replace(thread, edited=self.now(), version=thread.version + 1))
            return [thread.id for thread in chosen]

    def remove_comments(self, count: int) -> list[str]:
        """Up to `count` threads are removed; their ids."""
        with self._state:
            chosen = self._some(self.shelf.all_threads(), count)
            for thread in chosen:
                self.shelf.drop(thread.id)
            return [thread.id for thread in chosen]

    def disable_comments(self, channel: str) -> None:
        """Nobody may comment a channel any more."""
        with self._state:
            found = self.shelf.channel(channel)
            if found is None:
                raise ValueError(f"no such channel: {channel}")
            self.shelf.change(replace(found, comments=False))

    def close_channel(self, channel: str) -> None:
        """A channel is gone."""
        with self._state:
            self.shelf.drop(channel)

    def hold_back(self, *resources: str) -> None:
        """Pages leave these playlist items and threads out, and are no fuller for it; none: no more."""
        with self._state:
            self._calls.held_back = frozenset(resources)

    def invalidate_page_tokens(self) -> None:
        """No page token that was given out leads anywhere any more."""
        with self._state:
            self._calls.generation += 1

    def state(self) -> dict[str, Any]:
        """Counts of what was asked and of what there is.

        `pages_asked_twice` counts answers of lists that had been given before, with nothing changed since.
        """
        with self._state:
            return {
                "requests": self.requests(),
                "faults_struck": self.faults.struck(),
                "units": self.spent(),
                "tokens": self.tokens.issued,
                "videos": len(self.shelf.all_videos()),
                "threads": len(self.shelf.all_threads()),
                "pages_asked_twice": sum(count - 1 for count in self._calls.asked.values()),
            }

    def rows_json(self) -> bytes:
        """The lists by the name of their stream."""
        with self._state:
            names = ("channels", "uploads", "videos", "comments")
            return msgspec.json.encode({name: self._calls.all_of(name, owner=False) for name in names})

    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out some of the changes, each a count, a name or true."""
        known: dict[str, Callable[[Any], object]] = {
            "add": lambda value: self.add(int(value)),
            "modify": lambda value: self.modify(int(value)),
            "remove": lambda value: self.remove(int(value)),
            "hide": lambda value: self.hide(int(value)),
            "comment": lambda value: self.comment(int(value)),
            "remove_comments": lambda value: self.remove_comments(int(value)),
            "advance_hours": lambda value: self.clock.advance(timedelta(hours=int(value))),
            "invalidate_page_tokens": lambda _: self.invalidate_page_tokens(),
            "expire_tokens": lambda _: self.tokens.expire(),
        }
        unknown = set(wanted) - set(known)
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(known)}")
        return {name: known[name](value) for name, value in wanted.items()}

    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        """As Google: a resource, or an error object whose reasons tell what is wrong."""
        if request.path == PATH:
            with self._state:
                return self.tokens.answer(request, faults)
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        try:
            with self._state:
                owner = self._admitted(request, query)
                for fault in faults:
                    if not fault.after:
                        strike(fault, paging="pageToken" in query)
                kinds = frozenset(fault.kind for fault in faults)
                body = self._calls.answer(request.path, query, kinds, owner=owner)
            for fault in faults:
                strike(fault, paging=False)
        except YouTubeRefusal as refusal:
            return refuse(refusal, faults)
        except GoogleRefusal as refusal:
            return google_refuse(refusal, faults)
        return Reply(200, b"{}" if FaultKind.SHAPELESS in kinds else body)

    def _admitted(self, request: Request, query: Query) -> bool:
        """Whether it is the user who asks; refused without credentials, without the scope, over the quota."""
        key = query.pop("key", None) or request.headers.get("X-Goog-Api-Key")
        if request.headers.get("Authorization") is not None:
            scopes = _REPORT_SCOPES if request.path == REPORTS else _DATA_SCOPES
            if request.path == f"{DATA}commentThreads":
                scopes = _COMMENT_SCOPES
            self.tokens.demand(request.headers, scopes)
            who = self.client_id
        elif request.path == REPORTS:
            raise GoogleRefusal(401, "UNAUTHENTICATED", "Login Required.", "required")
        elif key is None:
            text = "Method doesn't allow unregistered callers (callers without established identity)."
            raise YouTubeRefusal(403, "forbidden", text)
        elif key != self.api_key:
            text = "API key not valid. Please pass a valid API key."
            raise YouTubeRefusal(400, "badRequest", text, detail="API_KEY_INVALID")
        else:
            who = "key"
        if request.path != REPORTS:
            self._count(who)
        return who != "key"

    def _count(self, who: str) -> None:
        """A unit for every request of somebody known, whatever becomes of it."""
        if self._spent[who, self.today()] >= self.daily_quota:
            raise quota_exceeded()
        self._spent[who, self.today()] += 1

    def _some(self, of: list[Any], count: int) -> list[Any]:
        return self._random.sample(of, min(count, len(of)))


def _exact(row: Json) -> dict[str, Any]:
    """As it reads once it has been JSON; numbers with a point are Decimal."""
    decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
    return decoder.decode(msgspec.json.encode(row))
