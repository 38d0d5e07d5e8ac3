"""Reports of YouTube Analytics: days come late, are restated, and take the place of what was there of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any

import pytest

from leaderjobs.connectors.youtube.api import REPORTS as PATH
from leaderjobs.errors import FatalError, LeadershipLost, QuotaExhausted
from leaderjobs.model.batch import Landing
from leaderjobs.model.job import Window
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.youtube.sandbox import YouTubeSandbox
from leaderjobs.testing import Context, Table
from tests.unit.connectors.youtube_rig import REPORTS, table, with_grant, youtube

DAY = timedelta(days=1)


@pytest.fixture
def sandbox() -> Iterator[YouTubeSandbox]:
    with YouTubeSandbox(videos=1, threads=0) as started:
        yield started


def sync(sandbox: YouTubeSandbox, found: Table, context: Context | None = None, **options: Any) -> None:
    options.setdefault("start_date", sandbox.days.through - 20 * DAY)
    with youtube(with_grant(sandbox, **options)) as connector:
        found.sync(connector, found.stream.name, context)


def made(sandbox: YouTubeSandbox, name: str = "by_country") -> Table:
    return table(name, with_grant(sandbox))


def truth(sandbox: YouTubeSandbox, name: str = "by_country", days: int = 20) -> dict[str, Any]:
    since = (sandbox.days.through - days * DAY).isoformat()
    rows = sandbox.report_rows(REPORTS[name].dimensions, REPORTS[name].metrics)
    return {key: row for key, row in rows.items() if row["day"] >= since}


@pytest.mark.parametrize("name", REPORTS)
def test_a_first_read_brings_every_day_with_exact_numbers(sandbox: YouTubeSandbox, name: str) -> None:
    found = made(sandbox, name)
    sync(sandbox, found)
    assert found.rows == truth(sandbox, name)
    assert set(found.landings) == {Landing.REPLACE}
    assert found.cursor == {"last": sandbox.days.through.isoformat()}
    assert max(row["views"] for row in found.rows.values()) > 2**53


def test_late_and_restated_days_arrive_and_rows_that_disappeared_are_gone(sandbox: YouTubeSandbox) -> None:
    found = made(sandbox)
    sync(sandbox, found)
    last = sandbox.days.through
    sandbox.days.restate(last - 2 * DAY, "AT")
    sandbox.days.drop(last - 3 * DAY, "DE")
    sandbox.days.drop(last - 4 * DAY)
    sandbox.days.drop(last)
    sandbox.days.go_on(last + DAY)
    sync(sandbox, found)
    expected = truth(sandbox, days=21)
    assert found.rows == expected
    assert len(found.deleted) == 1 + 4 + 4
    assert len(expected) == 4 * (20 - 2 + 2) - 1


def test_the_last_day_losing_all_its_rows_is_noticed_before_another_one_comes(
    sandbox: YouTubeSandbox,
) -> None:
    found = made(sandbox)
    sync(sandbox, found)
    sandbox.days.drop(sandbox.days.through)
    sync(sandbox, found)
    assert found.rows == truth(sandbox)
    assert len(found.deleted) == 4


def test_a_sync_asks_for_the_look_back_only(sandbox: YouTubeSandbox) -> None:
    found = made(sandbox)
    sync(sandbox, found)
    asked = sandbox.requests()[PATH]
    landed = len(found.landings)
    sync(sandbox, found, look_back=timedelta(days=3))
    assert sandbox.requests()[PATH] - asked == 1
    assert len(found.landings) - landed == 4


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_death_behind_any_day_loses_none_and_the_days_are_not_asked_for_again(
    sandbox: YouTubeSandbox, ahead: int
) -> None:
    for committed in (0, 1, 2, 11, 20, 21):
        found = made(sandbox)
        options = with_grant(sandbox, start_date=sandbox.days.through - 20 * DAY)
        with youtube(options) as connector:
            for number, batch in enumerate(
                islice(connector.read("by_country", None, Context()), committed + ahead)
            ):
                if number < committed:
                    found.commit(batch)
        sync(sandbox, found, look_back=timedelta(0))
        assert found.rows == truth(sandbox)
        assert len(found.landings) <= 22


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_death_behind_any_day_of_the_look_back_leaves_no_day_as_it_was(
    sandbox: YouTubeSandbox, ahead: int
) -> None:
    found = made(sandbox)
    sync(sandbox, found)
    last = sandbox.days.through
    for number in range(8):
        sandbox.days.restate(last - number * DAY, "US")
    sandbox.days.drop(last - 5 * DAY)
    options = with_grant(sandbox)
    found.landings.clear()
    while not found.landings or ("next" in (found.cursor or {}) and len(found.landings) < 20):
        with youtube(options) as connector:
            batches = list(islice(connector.read("by_country", found.cursor, Context()), 1 + ahead))
        found.commit(batches[0])
    assert found.rows == truth(sandbox)
    assert len(found.landings) == 8


def test_days_with_more_rows_than_an_answer_holds_are_whole(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.connectors.youtube.reports.ROWS", 3)
    found = made(sandbox)
    sync(sandbox, found)
    assert found.rows == truth(sandbox)
    assert sandbox.requests()[PATH] == 21 * 4 // 3 + 1


def test_an_answer_full_to_the_last_row_is_not_taken_for_the_end(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.connectors.youtube.reports.ROWS", 4)
    found = made(sandbox)
    sync(sandbox, found)
    assert found.rows == truth(sandbox)


def test_long_spans_are_asked_for_in_parts_and_days_between_them_stay_in_order(
    sandbox: YouTubeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaderjobs.connectors.youtube.reports.SPAN", timedelta(days=6))
    sandbox.days.drop(sandbox.days.through - 8 * DAY)
    sandbox.days.drop(sandbox.days.through - 9 * DAY)
    found = made(sandbox)
    sync(sandbox, found)
    assert found.rows == truth(sandbox)
    assert len(found.landings) == 21


def test_nothing_at_all_moves_no_marker(sandbox: YouTubeSandbox) -> None:
    found = made(sandbox)
    sync(sandbox, found, start_date=sandbox.days.through + DAY)
    assert found.cursor is None
    sync(sandbox, found, start_date=sandbox.today() + DAY)
    assert found.cursor is None


def test_a_filter_is_passed_on(sandbox: YouTubeSandbox) -> None:
    from leaderjobs.connectors.youtube.settings import ReportSettings

    austria = ReportSettings(dimensions=("country", "day"), metrics=("views",), filters="country==AT")
    options = with_grant(sandbox, reports={"austria": austria})
    found = table("austria", options)
    with youtube(options) as connector:
        found.sync(connector, "austria")
    assert {row["country"] for row in found.rows.values()} == {"AT"}
    assert len(found.rows) == 39
    assert next(iter(found.rows)).startswith('["AT", "')


def test_a_window_asks_for_its_days_and_a_death_in_it_goes_on_behind(sandbox: YouTubeSandbox) -> None:
    last = sandbox.days.through
    window = Window(since=_noon(last - 10 * DAY), until=_noon(last - 4 * DAY))
    found = made(sandbox)
    with youtube(with_grant(sandbox)) as connector:
        batches = connector.read("by_country", None, Context(window=window))
        found.take(islice(batches, 3))
    with youtube(with_grant(sandbox)) as connector:
        found.sync(connector, "by_country", Context(window=window))
    days = {row["day"] for row in found.rows.values()}
    assert days == {(last - number * DAY).isoformat() for number in range(4, 11)}
    assert len(found.landings) == 7


def test_a_quota_of_reports_that_is_used_up_leaves_the_units_of_the_lists_alone(
    sandbox: YouTubeSandbox,
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.ERROR, path=PATH, status=403, error_code="quotaExceeded"))
    context = Context()
    with pytest.raises(QuotaExhausted):
        sync(sandbox, made(sandbox), context)
    assert context.used == {}


def test_an_answer_of_other_columns_is_refused(sandbox: YouTubeSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.SHAPELESS, path=PATH))
    with pytest.raises(FatalError, match="out of contract"):
        sync(sandbox, made(sandbox))


def test_a_term_that_is_over_asks_for_no_more(sandbox: YouTubeSandbox) -> None:
    context = Context()
    context.stop_with = LeadershipLost("over")
    with pytest.raises(LeadershipLost):
        sync(sandbox, made(sandbox), context)
    assert PATH not in sandbox.requests()


@pytest.mark.parametrize(
    "cursor", [{"last": "yesterday"}, {"next": "2026-01-01"}, {"last": "2026-01-01", "page": 1}]
)
def test_a_marker_that_is_none_of_ours_is_refused(sandbox: YouTubeSandbox, cursor: dict[str, object]) -> None:
    with youtube(with_grant(sandbox)) as connector, pytest.raises(FatalError, match="the marker holds"):
        list(connector.read("daily", cursor, Context()))


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(20), UTC)
