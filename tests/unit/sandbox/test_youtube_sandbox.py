"""The sandbox's YouTube, asked without our connector: Google's shapes, its defaults, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from leaderjobs.sandbox.youtube.sandbox import YouTubeSandbox
from tests.unit.connectors.harness import BOUND

DATA = "/youtube/v3/"


@pytest.fixture(scope="module")
def shared() -> Iterator[YouTubeSandbox]:
    """One that no test changes."""
    with YouTubeSandbox(channels=2, videos=60, threads=45) as started:
        yield started


@pytest.fixture
def fresh() -> Iterator[YouTubeSandbox]:
    with YouTubeSandbox(videos=12, threads=3) as started:
        yield started


def ask(sandbox: YouTubeSandbox, name: str, *, key: str | None = None, **query: Any) -> Any:
    asked = {"part": "snippet,contentDetails", "key": key or sandbox.api_key} | query
    found = requests.get(f"{sandbox.url}{DATA}{name}", params=asked, timeout=BOUND).json()
    return {"reason": found["error"]["errors"][0]["reason"], **found} if "error" in found else found


def uploads(sandbox: YouTubeSandbox, **query: Any) -> Any:
    return ask(sandbox, "playlistItems", playlistId=sandbox.shelf.channels[0].uploads, **query)


def test_pages_hold_five_unless_told_and_are_newest_first(shared: YouTubeSandbox) -> None:
    first = uploads(shared)
    assert len(first["items"]) == 5
    assert first["pageInfo"] == {"totalResults": 60, "resultsPerPage": 5}
    second = uploads(shared, maxResults=50, pageToken=first["nextPageToken"])
    assert len(second["items"]) == 50
    times = [item["snippet"]["publishedAt"] for page in (first, second) for item in page["items"]]
    assert times == sorted(times, reverse=True)
    last = uploads(shared, maxResults=50, pageToken=second["nextPageToken"])
    assert len(last["items"]) == 5
    assert "nextPageToken" not in last


def test_channels_that_are_not_there_leave_no_items(shared: YouTubeSandbox) -> None:
    assert "items" not in ask(shared, "channels", forHandle="@nobody")
    found = ask(shared, "channels", id=",".join(shared.channel_ids), part="statistics,contentDetails")
    assert {item["id"] for item in found["items"]} == set(shared.channel_ids)
    assert all(item["statistics"]["videoCount"] == "60" for item in found["items"])


@pytest.mark.parametrize(
    ("name", "query", "reason"),
    [
        ("search", {"q": "x"}, "notFound"),
        ("videos", {"id": "x", "part": ""}, "missingRequiredParameter"),
        ("videos", {"id": ",".join(["x"] * 51)}, "invalidFilters"),
        ("videos", {"id": "x", "since": "2026"}, "unexpectedParameter"),
        ("playlistItems", {}, "missingRequiredParameter"),
        ("playlistItems", {"playlistId": "UUnone"}, "playlistNotFound"),
        ("commentThreads", {"allThreadsRelatedToChannelId": "UCnone"}, "channelNotFound"),
        ("commentThreads", {"videoId": "none"}, "videoNotFound"),
        ("channels", {"mine": "true"}, "authorizationRequired"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_googles_reason(
    shared: YouTubeSandbox, name: str, query: dict[str, str], reason: str
) -> None:
    assert ask(shared, name, **query)["reason"] == reason


@pytest.mark.parametrize("size", ["0", "51", "many"])
def test_a_page_has_one_to_fifty(shared: YouTubeSandbox, size: str) -> None:
    assert uploads(shared, maxResults=size)["reason"] == "invalidValue"


def test_a_page_token_is_good_for_its_own_list_until_they_are_all_withdrawn(fresh: YouTubeSandbox) -> None:
    token = uploads(fresh)["nextPageToken"]
    assert len(uploads(fresh, pageToken=token)["items"]) == 5
    about = {"allThreadsRelatedToChannelId": fresh.channel_ids[0], "pageToken": token}
    assert ask(fresh, "commentThreads", **about)["reason"] == "invalidPageToken"
    for none in ("x", token[:-1], "A" * 40):
        assert uploads(fresh, pageToken=none)["reason"] == "invalidPageToken"
    fresh.invalidate_page_tokens()
    assert uploads(fresh, pageToken=token)["reason"] == "invalidPageToken"


def test_every_request_of_somebody_known_costs_a_unit_until_midnight_in_california(
    fresh: YouTubeSandbox,
) -> None:
    fresh.daily_quota = 3
    assert ask(fresh, "channels", key="other", forHandle="@channel0")["reason"] == "badRequest"
    assert fresh.spent() == 0
    uploads(fresh)
    assert uploads(fresh, maxResults="0")["reason"] == "invalidValue"
    uploads(fresh)
    refused = uploads(fresh)
    assert refused["reason"] == "quotaExceeded"
    assert refused["error"]["errors"][0]["domain"] == "youtube.quota"
    assert refused["error"]["code"] == 403
    fresh.clock.advance(timedelta(days=1))
    assert len(uploads(fresh)["items"]) == 5


def test_private_videos_are_named_by_their_list_and_shown_to_nobody(fresh: YouTubeSandbox) -> None:
    hidden = fresh.hide(2)
    named = {item["contentDetails"]["videoId"] for item in uploads(fresh, maxResults=50)["items"]}
    assert set(hidden) < named
    shown = ask(fresh, "videos", id=",".join(sorted(named)))["items"]
    assert {item["id"] for item in shown} == named - set(hidden)


def test_an_etag_is_another_one_once_the_resource_is(fresh: YouTubeSandbox) -> None:
    before = ask(fresh, "videos", id=fresh.shelf.videos(fresh.shelf.channels[0])[0].id)
    fresh.modify(12)
    after = ask(fresh, "videos", id=before["items"][0]["id"])
    assert before["items"][0]["etag"] != after["items"][0]["etag"]
    assert before["etag"] != after["etag"]


def test_the_same_seed_gives_the_same_youtube() -> None:
    first, second = YouTubeSandbox(seed=7, videos=3, threads=3), YouTubeSandbox(seed=7, videos=3, threads=3)
    other = YouTubeSandbox(seed=8, videos=3, threads=3)
    for each in (first, second, other):
        each.stop()
    for stream in ("channels", "uploads", "videos", "comments"):
        assert first.rows(stream) == second.rows(stream)
        assert not first.rows(stream).keys() & other.rows(stream).keys()


def test_it_is_steered_over_http(fresh: YouTubeSandbox) -> None:
    told = requests.post(
        f"{fresh.url}/_sandbox/change", json={"add": 2, "comment": 1, "advance_hours": 1}, timeout=BOUND
    ).json()
    assert len(told["add"]) == 2
    rows = requests.get(f"{fresh.url}/_sandbox/rows", timeout=BOUND).json()
    assert {name: len(found) for name, found in rows.items()} == {
        "channels": 1,
        "uploads": 14,
        "videos": 14,
        "comments": 4,
    }
    refused = requests.post(f"{fresh.url}/_sandbox/change", json={"nonsense": 1}, timeout=BOUND)
    assert refused.status_code == 400


def test_a_report_ends_with_the_last_day_it_has_and_leaves_empty_rows_out(fresh: YouTubeSandbox) -> None:
    token = requests.post(
        f"{fresh.url}/token",
        data={
            "grant_type": "refresh_token",
            "client_id": fresh.client_id,
            "client_secret": fresh.client_secret,
            "refresh_token": fresh.refresh_token,
        },
        timeout=BOUND,
    ).json()["access_token"]

    def report(**query: Any) -> Any:
        asked = {
            "ids": "channel==MINE",
            "startDate": (fresh.days.through - timedelta(days=1)).isoformat(),
            "endDate": fresh.today().isoformat(),
            "dimensions": "day,country",
            "metrics": "views",
        }
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(
            f"{fresh.url}/v2/reports", params=asked | query, headers=headers, timeout=BOUND
        ).json()

    full = report()
    assert [header["name"] for header in full["columnHeaders"]] == ["day", "country", "views"]
    assert len(full["rows"]) == 8
    assert full["rows"][-1][0] == fresh.days.through.isoformat()
    assert report(startIndex=3, maxResults=2)["rows"] == full["rows"][2:4]
    assert "rows" not in report(startIndex=9)
    assert "error" in report(metrics="nonsense")
