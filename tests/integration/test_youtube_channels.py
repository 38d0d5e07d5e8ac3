"""Which channels YouTube's lists are about: some have nothing, are left out, are added, or are gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import pytest

from leaderjobs.errors import FatalError
from leaderjobs.model.batch import Landing
from leaderjobs.sandbox.youtube.sandbox import YouTubeSandbox
from leaderjobs.testing import Context
from tests.unit.connectors.youtube_rig import WALKED, first_read, move_clock, sync, table, with_key, youtube


@pytest.fixture
def sandbox() -> Iterator[YouTubeSandbox]:
    with YouTubeSandbox(channels=2, videos=15, threads=25) as started:
        yield started


def test_comments_that_are_switched_off_leave_the_other_channels_alone(sandbox: YouTubeSandbox) -> None:
    comments = table("comments")
    sync(sandbox, comments)
    sandbox.disable_comments(sandbox.channel_ids[1])
    context = Context()
    comments.reset()
    sync(sandbox, comments, context=context)
    assert comments.rows == sandbox.rows("comments")
    assert len(comments.rows) == 25
    assert any("commentsDisabled" in line for line in context.lines)


def test_a_channel_without_uploads_has_an_empty_list() -> None:
    with YouTubeSandbox(channels=2, videos=5) as sandbox:
        for video in sandbox.shelf.videos(sandbox.shelf.channels[1]):
            sandbox.shelf.drop(video.id)
        found = [table("uploads"), table("videos")]
        sync(sandbox, *found)
        assert [len(each.rows) for each in found] == [5, 5]


@pytest.mark.parametrize("stream", WALKED)
def test_a_channel_that_is_added_is_read_whole_and_one_that_is_left_out_is_deleted(
    sandbox: YouTubeSandbox, stream: str
) -> None:
    first, second = sandbox.channel_ids
    found = table(stream)
    sync(sandbox, found, channels=(first,))
    half = len(found.rows)
    sync(sandbox, found, channels=(first, second))
    assert found.rows == sandbox.rows(stream)
    sync(sandbox, found, channels=(second,))
    assert len(found.rows) == len(sandbox.rows(stream)) - half
    assert len(found.deleted) == half


def test_a_walk_whose_channels_are_others_now_is_given_up(sandbox: YouTubeSandbox) -> None:
    first, second = sandbox.channel_ids
    found = table("uploads")
    with youtube(with_key(sandbox)) as connector:
        found.take(islice(connector.read("uploads", None, Context()), 3))
    sync(sandbox, found, channels=(second,))
    assert Landing.RESTART in found.landings
    assert {row["snippet"]["channelId"] for row in found.rows.values()} == {second}
    assert first not in found.rows


def test_a_walk_that_began_a_month_ago_is_begun_again(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = move_clock(monkeypatch)
    found = table("videos")
    with youtube(with_key(sandbox)) as connector:
        found.take(islice(connector.read("videos", None, Context()), 2))
    removed = sandbox.shelf.videos(first_read(sandbox))[0].id
    sandbox.shelf.drop(removed)
    move(timedelta(days=30))
    sync(sandbox, found)
    assert found.landings[2] is Landing.RESTART
    assert found.rows == sandbox.rows("videos")


def test_a_channel_that_is_gone_takes_its_rows_with_it(sandbox: YouTubeSandbox) -> None:
    first, second = sandbox.channel_ids
    found = [table(stream) for stream in ("channels", *WALKED)]
    sync(sandbox, *found)
    sandbox.close_channel(second)
    context = Context()
    sync(sandbox, *found, context=context, channels=(first, second))
    for each in found:
        assert each.rows == sandbox.rows(each.stream.name)
    assert context.lines == [f"YouTube has no channel {second}: what there was of it counts as deleted"]


def test_no_channel_at_all_is_an_error_and_deletes_nothing(sandbox: YouTubeSandbox) -> None:
    with pytest.raises(FatalError, match="no channel @nobody"):
        sync(sandbox, table("channels"), channels=("@nobody",))


def test_handles_and_ids_name_the_same_channels(sandbox: YouTubeSandbox) -> None:
    first = sandbox.channel_ids[0]
    found = table("channels")
    sync(sandbox, found, channels=("@channel1", first, "@channel0"))
    assert found.rows == sandbox.rows("channels")
