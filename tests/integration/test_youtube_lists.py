"""YouTube's lists over a sandbox: nothing is lost, kept too long, or asked for twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import islice

import pytest

from leaderjobs.connectors.youtube.lists import CHANNELS_PATH, COMMENTS_PATH, UPLOADS_PATH, VIDEOS_PATH
from leaderjobs.connectors.youtube.walk import MOST_RELISTS
from leaderjobs.errors import FatalError, Forbidden, TransientError
from leaderjobs.model.batch import Landing
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.youtube.sandbox import YouTubeSandbox
from leaderjobs.testing import Context
from tests.unit.connectors.youtube_rig import (
    WALKED,
    first_read,
    move_clock,
    sync,
    table,
    with_grant,
    with_key,
    youtube,
)

PAGES = 4
"""Of each walked stream: two in each of two channels."""


@pytest.fixture
def sandbox() -> Iterator[YouTubeSandbox]:
    with YouTubeSandbox(channels=2, videos=15, threads=25) as started:
        yield started


@pytest.mark.parametrize("stream", ["channels", *WALKED])
def test_a_first_read_gives_what_is_there(sandbox: YouTubeSandbox, stream: str) -> None:
    found = table(stream)
    sync(sandbox, found)
    assert found.rows == sandbox.rows(stream)
    assert len(found.rows) in {2, 30, 50}


@pytest.mark.parametrize("stream", WALKED)
@pytest.mark.parametrize("ahead", [0, 1])
def test_after_a_death_behind_any_page_the_next_process_goes_on_there(
    sandbox: YouTubeSandbox, stream: str, ahead: int
) -> None:
    """With `ahead` a page had been fetched that is lost, and it alone is asked for again."""
    path = COMMENTS_PATH if stream == "comments" else UPLOADS_PATH
    for committed in range(PAGES + 1):
        found, before = table(stream), sandbox.requests().get(path, 0)
        with youtube(with_key(sandbox)) as connector:
            pages = connector.read(stream, None, Context())
            for number, batch in enumerate(islice(pages, committed + ahead)):
                if number < committed:
                    found.commit(batch)
        if committed < PAGES:
            sync(sandbox, found)
        assert found.rows == sandbox.rows(stream)
        assert len(found.landings) == PAGES
        assert found.landings[-1] is Landing.SWEEP
        assert sandbox.requests()[path] - before == PAGES + (1 if ahead and committed < PAGES else 0)


@pytest.mark.parametrize("stream", ["uploads", "comments"])
@pytest.mark.parametrize("ahead", [0, 1])
def test_a_death_behind_every_page_of_a_pass_for_what_is_newer_loses_nothing(
    sandbox: YouTubeSandbox, stream: str, ahead: int
) -> None:
    found = table(stream)
    sync(sandbox, found)
    sandbox.add(60)
    sandbox.comment(60)
    found.landings.clear()
    passes = 0
    while passes < 20:
        with youtube(with_key(sandbox)) as connector:
            pages = list(islice(connector.read(stream, found.cursor, Context()), 1 + ahead))
        found.commit(pages[0])
        passes += 1
        if "began" not in (found.cursor or {}):
            break
    assert set(found.landings) == {Landing.UPSERT}
    assert passes < 20
    assert found.rows == sandbox.rows(stream)


def test_a_thousand_videos_cost_forty_one_units_and_then_two_a_sync_for_uploads() -> None:
    with YouTubeSandbox(channels=1, videos=1000, threads=1000) as sandbox:
        videos, uploads, comments = table("videos"), table("uploads"), table("comments")
        sync(sandbox, videos, page_size=50)
        assert sandbox.spent() == 1 + 20 + 20
        sync(sandbox, uploads, comments, page_size=50)
        assert sandbox.spent() == 41 + 1 + 20 + 10
        sync(sandbox, uploads, comments, page_size=50)
        assert sandbox.spent() == 72 + 1 + 1 + 1
        assert set(sandbox.requests()) == {CHANNELS_PATH, UPLOADS_PATH, VIDEOS_PATH, COMMENTS_PATH}
        assert videos.rows == sandbox.rows("videos")


def test_new_uploads_and_comments_are_found_without_a_full_walk(sandbox: YouTubeSandbox) -> None:
    uploads, comments = table("uploads"), table("comments")
    sync(sandbox, uploads, comments)
    sandbox.add(30)
    sandbox.comment(30)
    before = sandbox.spent()
    sync(sandbox, uploads, comments)
    assert uploads.rows == sandbox.rows("uploads")
    assert comments.rows == sandbox.rows("comments")
    # The channels; per channel two pages with new uploads and one that is known; two of threads and a known one,
    # and the other channel's known one.
    assert sandbox.spent() - before == 1 + 2 * (2 + 1) + (2 + 1) + 1


def test_a_known_page_that_was_paid_for_lands_with_what_changed_on_it(sandbox: YouTubeSandbox) -> None:
    comments = table("comments")
    sync(sandbox, comments)
    newest = sandbox.shelf.threads(sandbox.shelf.channels[0])[5]
    while sandbox.edit_comments(1) != [newest.id]:
        pass
    sync(sandbox, comments)
    assert comments.rows[newest.id] == sandbox.rows("comments")[newest.id]


def test_an_empty_page_with_more_behind_it_is_not_the_end(sandbox: YouTubeSandbox) -> None:
    comments = table("comments")
    sync(sandbox, comments)
    sandbox.comment(30)
    newest = [thread.id for thread in sandbox.shelf.threads(sandbox.shelf.channels[0])]
    sandbox.hold_back(*newest[:20])
    sync(sandbox, comments)
    assert set(newest[20:]) <= set(comments.rows)


def test_what_is_deleted_is_found_by_the_full_walk_that_refresh_every_asks_for(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = move_clock(monkeypatch)
    uploads, comments = table("uploads"), table("comments")
    sync(sandbox, uploads, comments)
    gone = sandbox.remove(5)
    sandbox.remove_comments(5)
    move(timedelta(days=6))
    sync(sandbox, uploads, comments)
    assert len(uploads.rows) == 30
    move(timedelta(days=1))
    sync(sandbox, uploads, comments)
    assert uploads.rows == sandbox.rows("uploads")
    assert comments.rows == sandbox.rows("comments")
    assert len(uploads.deleted) == len(gone)


def test_every_row_is_read_again_within_thirty_days_however_seldom_walks_are_full(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = move_clock(monkeypatch)
    tables = [table(stream) for stream in WALKED]
    sync(sandbox, *tables, refresh_every=timedelta(days=29))
    read_again = [False] * len(tables)
    for days in (15, 10, 4):
        move(timedelta(days=days))
        before = [each.received for each in tables]
        sync(sandbox, *tables, refresh_every=timedelta(days=29))
        everything = [each.received - old >= len(each.rows) for each, old in zip(tables, before, strict=True)]
        read_again = [once or now for once, now in zip(read_again, everything, strict=True)]
    assert all(read_again)


def test_a_deleted_video_and_a_private_one_are_gone_with_the_next_sync(sandbox: YouTubeSandbox) -> None:
    videos = table("videos")
    sync(sandbox, videos)
    sandbox.modify(10)
    removed, hidden = sandbox.remove(3), sandbox.hide(3)
    sync(sandbox, videos)
    assert videos.rows == sandbox.rows("videos")
    assert videos.deleted == {*removed, *hidden}


def test_a_private_video_that_its_page_still_names_is_gone_before_the_walk_ends(
    sandbox: YouTubeSandbox,
) -> None:
    videos = table("videos")
    sync(sandbox, videos)
    first = sandbox.shelf.videos(first_read(sandbox))[0]
    while first.id not in sandbox.hide(1):
        pass
    with youtube(with_key(sandbox)) as connector:
        videos.commit(next(iter(connector.read("videos", videos.cursor, Context()))))
    assert first.id in videos.deleted


def test_the_owner_sees_the_private_ones(sandbox: YouTubeSandbox) -> None:
    sandbox.hide(12)
    videos = table("videos")
    with youtube(with_grant(sandbox)) as connector:
        videos.sync(connector, "videos")
    own = sandbox.channel_ids[0]
    everything = sandbox.rows("videos", owner=True)
    assert videos.rows == {key: row for key, row in everything.items() if row["snippet"]["channelId"] == own}
    assert {row["status"]["privacyStatus"] for row in videos.rows.values()} == {"public", "private"}


@pytest.mark.parametrize("stream", WALKED)
def test_page_tokens_that_die_in_the_middle_of_a_walk_begin_its_list_again(
    sandbox: YouTubeSandbox, stream: str
) -> None:
    found = table(stream)
    with youtube(with_key(sandbox)) as connector:
        found.take(islice(connector.read(stream, None, Context()), 1))
    sandbox.invalidate_page_tokens()
    sync(sandbox, found)
    assert found.rows == sandbox.rows(stream)
    assert len(found.landings) == 1 + PAGES
    assert found.landings[-1] is Landing.SWEEP


def test_page_tokens_that_never_work_are_an_error_after_a_few_times(sandbox: YouTubeSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.MUTATION))
    with pytest.raises(TransientError, match="invalidPageToken"):
        sync(sandbox, table("uploads"))
    assert sandbox.requests()[UPLOADS_PATH] == 1 + 2 * MOST_RELISTS + 1


@pytest.mark.parametrize("stream", ["uploads", "videos"])
def test_a_video_removed_between_two_pages_does_not_take_its_neighbour_with_it(
    sandbox: YouTubeSandbox, stream: str
) -> None:
    """The list moves up, so the row that would begin the next page slips onto the page that has been read."""
    found = table(stream)
    sync(sandbox, found)
    found.reset()
    with youtube(with_key(sandbox)) as connector:
        pages = connector.read(stream, found.cursor, Context())
        found.commit(next(pages))
        newest = sandbox.shelf.videos(first_read(sandbox))[0]
        sandbox.shelf.drop(newest.id)
        found.take(pages)
    expected = sandbox.rows(stream)
    assert set(expected) <= set(found.rows)


def test_the_same_page_token_twice_stops_the_walk(sandbox: YouTubeSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.EQUAL_CURSORS))
    with pytest.raises(FatalError, match="its next page is the one asked for"):
        sync(sandbox, table("comments"))


@pytest.mark.parametrize("stream", WALKED)
def test_a_row_that_is_on_a_page_twice_lands_once_and_the_later_one_stays(
    sandbox: YouTubeSandbox, stream: str
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.DUPLICATE_ID))
    found = table(stream)
    sync(sandbox, found)
    assert found.rows == sandbox.rows(stream)


def test_counts_beyond_a_float_stay_what_they_are(sandbox: YouTubeSandbox) -> None:
    videos = table("videos")
    sync(sandbox, videos)
    views = {int(row["statistics"]["viewCount"]) for row in videos.rows.values()}
    assert len(views) == 30
    assert min(views) > 2**53
    assert all(isinstance(row["statistics"]["viewCount"], str) for row in videos.rows.values())


@pytest.mark.parametrize("stream", ["channels", *WALKED])
def test_an_answer_without_its_members_is_an_error_and_deletes_nothing(
    sandbox: YouTubeSandbox, stream: str
) -> None:
    found = table(stream)
    sync(sandbox, found)
    sandbox.faults.replace(Fault(kind=FaultKind.SHAPELESS))
    with pytest.raises(FatalError, match="out of contract"):
        sync(sandbox, found)
    assert found.rows == sandbox.rows(stream)


def test_a_permission_that_is_missing_ends_the_read_with_its_reason(sandbox: YouTubeSandbox) -> None:
    sandbox.faults.replace(
        Fault(kind=FaultKind.ERROR, path=COMMENTS_PATH, status=403, error_code="insufficientPermissions")
    )
    with pytest.raises(Forbidden, match="insufficientPermissions"):
        sync(sandbox, table("comments"))


@pytest.mark.parametrize("seed", range(2))
def test_any_mixture_of_passing_faults_ends_with_what_is_at_youtube(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    move = move_clock(monkeypatch)
    kinds = ("reset", "truncated", "html", "server_error", "rate_limited", "mutation", "duplicate_id")
    sandbox.faults.replace(*(Fault(kind=FaultKind(kind), probability=0.05) for kind in kinds))
    sandbox.faults._random.seed(seed)
    tables = [table(stream) for stream in WALKED]
    for _ in range(8):
        for each in tables:
            with suppress(TransientError):
                sync(sandbox, each)
            sandbox.add(2)
            sandbox.modify(5)
            sandbox.remove(2)
            sandbox.comment(2)
            sandbox.remove_comments(1)
    assert sandbox.faults.struck() > 5
    sandbox.faults.replace()
    # What is under way is ended first; what it has met and lost since is found by the walk after it.
    sync(sandbox, *tables)
    move(timedelta(days=8))
    sync(sandbox, *tables)
    for each in tables:
        assert each.rows == sandbox.rows(each.stream.name)


def test_how_much_will_come_is_told_where_youtube_counts_it(sandbox: YouTubeSandbox) -> None:
    told: dict[str, set[int | None]] = {}
    with youtube(with_key(sandbox)) as connector:
        for stream in WALKED:
            told[stream] = {batch.total for batch in connector.read(stream, None, Context())}
    assert told == {"uploads": {30}, "videos": {30}, "comments": {None}}
