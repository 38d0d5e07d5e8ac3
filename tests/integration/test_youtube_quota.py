"""What YouTube allows in a day, who may ask, and what is shown of it."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from leaderjobs import clock
from leaderjobs.connectors.youtube.api import REPORTS
from leaderjobs.connectors.youtube.lists import CHANNELS_PATH, COMMENTS_PATH, UPLOADS_PATH
from leaderjobs.errors import (
    FatalError,
    Forbidden,
    LeaderJobsError,
    NeedsUser,
    QuotaExhausted,
    RateLimited,
    TransientError,
    Unauthenticated,
)
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.youtube.sandbox import YouTubeSandbox
from leaderjobs.testing import Context, Table
from leaderjobs.values import Secret
from tests.unit.connectors.youtube_rig import move_clock, stream_of, table, with_grant, with_key, youtube


@pytest.fixture
def sandbox() -> Iterator[YouTubeSandbox]:
    with YouTubeSandbox(videos=25, threads=45) as started:
        yield started


def test_the_counter_stops_before_the_limit_and_the_read_goes_on_after_midnight(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = move_clock(monkeypatch)
    videos, used = table("videos"), dict[str, int]()
    options = with_key(sandbox, daily_quota=4, quota_reserve=1)
    # A unit a day is for the channels, so there are three days in three pages of two units.
    for _ in range(2):
        with youtube(options) as connector, pytest.raises(QuotaExhausted) as caught:
            videos.sync(connector, "videos", Context(used=used))
        assert sandbox.spent() == 3
        assert clock.now() < caught.value.until <= clock.now() + timedelta(hours=25)
        move(caught.value.until - clock.now() + timedelta(seconds=1))
    with youtube(options) as connector:
        videos.sync(connector, "videos", Context(used=used))
    assert videos.rows == sandbox.rows("videos")
    assert sandbox.state()["pages_asked_twice"] == 0
    assert sorted(used.values()) == [3, 3, 3]


def test_connections_with_one_key_share_its_units(sandbox: YouTubeSandbox) -> None:
    used: dict[str, int] = {}
    options = with_key(sandbox, daily_quota=6, quota_reserve=2)
    with youtube(options) as connector:
        table("uploads").sync(connector, "uploads", Context(used=used))
    with youtube(options) as other, pytest.raises(QuotaExhausted, match="4 of 4"):
        table("uploads").sync(other, "uploads", Context(used=used))
    assert list(used.values()) == [4]


@pytest.mark.parametrize(
    "instant", ["2026-03-07T23:00:00", "2026-03-08T12:00:00", "2026-07-01T06:59:59", "2026-11-01T12:00:00"]
)
def test_the_quota_is_renewed_at_midnight_in_california_in_summer_and_winter(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    now = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: now)
    with youtube(with_key(sandbox)) as connector:
        quota = connector._api._quota()
    expected = {
        "2026-03-07T23:00:00": ("2026-03-07", "2026-03-08T08:00:00+00:00"),
        "2026-03-08T12:00:00": ("2026-03-08", "2026-03-09T07:00:00+00:00"),
        "2026-07-01T06:59:59": ("2026-06-30", "2026-07-01T07:00:00+00:00"),
        "2026-11-01T12:00:00": ("2026-11-01", "2026-11-02T08:00:00+00:00"),
    }[instant]
    assert (quota.name[-10:], quota.resets_at.isoformat()) == expected


def test_a_quota_that_others_have_used_up_parks_the_connection_until_midnight(
    sandbox: YouTubeSandbox,
) -> None:
    sandbox.daily_quota = 2
    uploads, context = table("uploads"), Context()
    with (
        youtube(with_key(sandbox)) as connector,
        pytest.raises(QuotaExhausted, match="quotaExceeded") as caught,
    ):
        uploads.sync(connector, "uploads", context)
    assert caught.value.code == "quotaExceeded"
    assert clock.now() < caught.value.until <= clock.now() + timedelta(hours=25)
    assert len(uploads.rows) == 10
    # The counter is full, so that no other connection with this key asks before then.
    with youtube(with_key(sandbox)) as connector, pytest.raises(QuotaExhausted, match="9500 of 9500"):
        uploads.sync(connector, "uploads", context)


def test_a_request_that_nothing_answers_is_counted_each_time_it_is_sent(sandbox: YouTubeSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.RESET, path=UPLOADS_PATH, count=2))
    context = Context()
    with youtube(with_key(sandbox)) as connector:
        table("uploads").sync(connector, "uploads", context)
    assert list(context.used.values()) == [1 + 3 + 2]


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (403, "quotaExceeded", QuotaExhausted),
        (403, "dailyLimitExceeded", QuotaExhausted),
        (403, "rateLimitExceeded", RateLimited),
        (403, "forbidden", Forbidden),
        (403, "accessNotConfigured", Forbidden),
        (403, "somethingNew", Forbidden),
        (400, "keyInvalid", Unauthenticated),
        (400, "badRequest", FatalError),
        (404, "notFound", FatalError),
        (500, "backendError", TransientError),
    ],
)
def test_403_is_told_apart_by_its_reason(
    sandbox: YouTubeSandbox, status: int, reason: str, expected: type[LeaderJobsError]
) -> None:
    fault = Fault(kind=FaultKind.ERROR, path=UPLOADS_PATH, status=status, error_code=reason)
    sandbox.faults.replace(fault)
    with youtube(with_key(sandbox)) as connector, pytest.raises(LeaderJobsError) as caught:
        table("uploads").sync(connector, "uploads")
    assert type(caught.value) is expected
    assert reason in str(caught.value)


def test_a_key_that_is_none_is_told_as_that(sandbox: YouTubeSandbox) -> None:
    options = with_key(sandbox, api_key=Secret(literal="AIza-not-a-key"))
    with youtube(options) as connector, pytest.raises(Unauthenticated, match="API_KEY_INVALID"):
        connector.check()


def test_check_is_one_request_and_tells_what_is_not_there(sandbox: YouTubeSandbox) -> None:
    with youtube(with_key(sandbox)) as connector:
        connector.check()
    assert sandbox.requests() == {CHANNELS_PATH: 1}
    nobody = "UC" + "x" * 22
    for named, missing in (((sandbox.channel_ids[0], nobody), nobody), (("@nobody",), "@nobody")):
        with (
            youtube(with_key(sandbox, channels=named)) as connector,
            pytest.raises(FatalError, match=f"no channel {missing}"),
        ):
            connector.check()
    with youtube(with_grant(sandbox)) as connector:
        connector.check()


def test_a_token_that_expires_in_the_middle_of_a_sync_is_renewed_once(sandbox: YouTubeSandbox) -> None:
    uploads, context = table("uploads"), Context()
    with youtube(with_grant(sandbox)) as connector:
        for number, batch in enumerate(connector.read("uploads", None, context)):
            uploads.commit(batch)
            if number == 0:
                sandbox.tokens.expire()
    assert uploads.rows == sandbox.rows("uploads")
    assert sandbox.tokens.issued == 2
    # The refused request cost nothing at YouTube, but who can know.
    assert list(context.used.values()) == [1 + 3 + 1]


def test_a_grant_that_was_withdrawn_needs_the_user(sandbox: YouTubeSandbox) -> None:
    uploads = table("uploads")
    with youtube(with_grant(sandbox)) as connector:
        pages = connector.read("uploads", None, Context())
        uploads.commit(next(pages))
        sandbox.tokens.revoke()
        with pytest.raises(NeedsUser, match="invalid_grant"):
            next(pages)
    sandbox.tokens.revoke(revoked=False)
    with youtube(with_grant(sandbox)) as connector:
        uploads.sync(connector, "uploads")
    assert uploads.rows == sandbox.rows("uploads")


@pytest.mark.parametrize("how", [with_key, with_grant], ids=["key", "grant"])
def test_no_secret_is_in_an_error_a_log_a_marker_or_a_row(
    sandbox: YouTubeSandbox, caplog: pytest.LogCaptureFixture, how: object
) -> None:
    caplog.set_level(logging.DEBUG)
    options = with_key(sandbox) if how is with_key else with_grant(sandbox)
    context, shown = Context(), list[str]()
    with youtube(options) as connector:
        for stream in connector.streams:
            for batch in connector.read(stream.name, None, context):
                shown += [str(batch.cursor), batch.body.decode(), repr(batch)]
        for fault in ("rate_limited", "server_error", "html", "shapeless", "reset"):
            sandbox.faults.replace(Fault(kind=FaultKind(fault)))
            for path in ("uploads", "channels"):
                with pytest.raises(LeaderJobsError) as caught:
                    list(connector.read(path, None, context))
                assert "\n" not in str(caught.value)
                shown += [*traceback.format_exception(caught.value), repr(caught.value)]
        shown += [caplog.text, repr(connector), *context.lines, *context.used, json.dumps(context.used)]
    assert REPORTS in sandbox.requests() or how is with_key
    for secret in (sandbox.api_key, *sandbox.tokens.secrets()):
        assert secret not in "".join(shown)


def test_the_key_is_in_no_address(sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[str] = []
    real = sandbox.received

    def received(method: str, path: str, query: str, *rest: object) -> object:
        queries.append(query)
        return real(method, path, query, *rest)  # type: ignore[arg-type] # handed on as it came

    monkeypatch.setattr(sandbox, "received", received)
    with youtube(with_key(sandbox)) as connector:
        table("comments").sync(connector, "comments")
    assert len(queries) > 1
    assert not any(sandbox.api_key in query for query in queries)


def test_a_connector_that_is_closed_asks_nothing(sandbox: YouTubeSandbox) -> None:
    from leaderjobs.errors import Interrupted

    with youtube(with_grant(sandbox)) as connector:
        connector.close()
        with pytest.raises(Interrupted):
            list(connector.read("uploads", None, Context()))
    assert sandbox.requests() == {}


def test_comments_need_a_scope_that_is_said(sandbox: YouTubeSandbox) -> None:
    sandbox.tokens._scopes = frozenset({"https://www.googleapis.com/auth/youtube.readonly"})
    with youtube(with_grant(sandbox)) as connector:
        uploads = Table(stream_of(with_grant(sandbox), "uploads"))
        uploads.take(islice(connector.read("uploads", None, Context()), 1))
        with pytest.raises(Forbidden, match="ACCESS_TOKEN_SCOPE_INSUFFICIENT"):
            list(connector.read("comments", None, Context()))
    assert sandbox.requests()[COMMENTS_PATH] == 1
