"""Google Analytics, day by day: replaced whole, restated, and gone on with after a death."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leaderjobs.errors import (
    FatalError,
    TransientError,
)
from leaderjobs.model.batch import Batch
from leaderjobs.model.job import Window
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from leaderjobs.testing import Context
from leaderjobs.values import Duration
from tests.integration.google_analytics.rig import (
    APPLY,
    DAY,
    REPLACE,
    REPORTS,
    RESTART,
    STAGE,
    Now,
    connected,
    failing,
    sync,
)
from tests.unit.connectors.analytics import table, truth


def test_a_combination_that_is_no_longer_counted_disappears_with_its_day(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    found = table()
    sync(sandbox, found)
    before = set(found.rows)
    sandbox.remove(7)
    sandbox.modify(9)
    sync(sandbox, found)
    assert found.rows == truth(sandbox)
    assert found.deleted == before - set(found.rows)
    assert len(found.deleted) == 7


def test_a_death_after_every_page_costs_no_page(sandbox: GoogleAnalyticsSandbox) -> None:
    found = table()
    while not found.rows or found.rows != truth(sandbox):
        sync(sandbox, found, most=1)
    assert found.landings == [STAGE, STAGE, APPLY] * 6
    assert sandbox.state()["pages_asked_twice"] == 0
    assert sandbox.requests()[REPORTS] == 1 + 3 * 6


def test_a_day_of_one_page_and_a_day_without_rows_replace_what_the_table_held(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    found = table()
    sync(sandbox, found, page_size=25)
    assert found.landings == [REPLACE] * 6
    yesterday = sandbox.today() - DAY
    sandbox.remove(100, yesterday)
    sync(sandbox, found, page_size=25)
    assert len(found.rows) == 5 * 25
    assert {row["date"] for row in found.rows.values()}.isdisjoint({yesterday.isoformat()})


def test_a_sync_asks_again_for_the_look_back_and_today_only(
    sandbox: GoogleAnalyticsSandbox, now: Now
) -> None:
    found = table()
    sync(sandbox, found, page_size=100)
    for look_back, days in ((1, 2), (3, 4)):
        landed = len(found.landings)
        sync(sandbox, found, page_size=100, look_back=Duration(days=look_back))
        assert len(found.landings) - landed == days
    now.at += 2 * DAY
    landed = len(found.landings)
    sync(sandbox, found, page_size=100, look_back=Duration(days=1))
    # From where it had stopped: the day that was today then comes again although the look-back is shorter.
    assert len(found.landings) - landed == 2
    assert found.rows == truth(sandbox)


def test_after_a_long_absence_no_day_is_left_out(sandbox: GoogleAnalyticsSandbox, now: Now) -> None:
    found = table()
    sync(sandbox, found, most=4)
    now.at += 20 * DAY
    sync(sandbox, found)
    assert found.rows == truth(sandbox)
    assert len({row["date"] for row in found.rows.values()}) == 26
    assert found.staged == []


def test_a_pass_that_broke_off_yesterday_drops_its_half_day_and_looks_back_again(
    sandbox: GoogleAnalyticsSandbox, now: Now
) -> None:
    found = table()
    sync(sandbox, found, most=3 * 5 + 2)
    assert [row["date"] for row in found.rows.values()].count("2026-03-09") == 0
    now.at += DAY
    sandbox.modify(40)
    sync(sandbox, found, look_back=Duration(days=3))
    assert found.landings[17:] == [RESTART, *[STAGE, STAGE, APPLY] * 4]
    assert found.rows == truth(sandbox)


def test_today_can_be_left_for_tomorrow(sandbox: GoogleAnalyticsSandbox) -> None:
    found = table()
    sync(sandbox, found, include_today=False)
    assert max(row["date"] for row in found.rows.values()) == "2026-03-08"
    landed = len(found.landings)
    sync(sandbox, found, include_today=False, look_back=Duration(days=1), page_size=100)
    assert len(found.landings) - landed == 1


@pytest.mark.parametrize(
    ("zone", "at", "last"),
    [
        ("America/New_York", datetime(2026, 3, 9, 3, 59, tzinfo=UTC), "2026-03-08"),
        ("America/New_York", datetime(2026, 3, 9, 4, 0, tzinfo=UTC), "2026-03-09"),
        ("Pacific/Kiritimati", datetime(2026, 3, 9, 9, 59, tzinfo=UTC), "2026-03-09"),
        ("Pacific/Kiritimati", datetime(2026, 3, 9, 10, 0, tzinfo=UTC), "2026-03-10"),
    ],
)
def test_today_is_the_propertys(now: Now, zone: str, at: datetime, last: str) -> None:
    now.at = at
    with GoogleAnalyticsSandbox(days=1, rows_per_day=1, zone=zone) as sandbox:
        found = table()
        sync(sandbox, found)
        assert max(row["date"] for row in found.rows.values()) == last
        assert {row["time_zone"] for row in found.rows.values()} == {zone}
        assert found.cursor is not None
        assert found.cursor["zone"] == zone


def test_a_property_that_moves_to_another_zone_has_its_days_there_from_the_next_sync_on(
    sandbox: GoogleAnalyticsSandbox, now: Now
) -> None:
    found = table()
    sync(sandbox, found)
    sandbox.zone = "Pacific/Kiritimati"
    sync(sandbox, found)
    now.at += DAY
    sync(sandbox, found)
    assert max(row["date"] for row in found.rows.values()) == sandbox.today().isoformat() == "2026-03-11"


def test_a_zone_that_nobody_knows_is_told(now: Now) -> None:
    with GoogleAnalyticsSandbox(days=1) as sandbox:
        sandbox.zone = "UTC"
        found = table()
        sync(sandbox, found)
        assert found.cursor is not None
        found.cursor = {**found.cursor, "zone": "Mars/Olympus"}
        with pytest.raises(FatalError, match="Mars/Olympus"):
            sync(sandbox, found)


def test_a_window_is_about_the_days_it_touches(sandbox: GoogleAnalyticsSandbox) -> None:
    since = datetime(2026, 3, 6, 5, 0, tzinfo=UTC)  # Midnight in New York.
    for until, days in (
        (since + DAY, {"2026-03-06"}),
        (since + DAY + timedelta(seconds=1), {"2026-03-06", "2026-03-07"}),
        (None, {"2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09"}),
    ):
        found = table()
        context = Context(window=Window(since, until))
        # Another process goes on in the middle of a day.
        sync(sandbox, found, context, most=1)
        sync(sandbox, found, context)
        assert {row["date"] for row in found.rows.values()} == days
        assert RESTART not in found.landings
        landed = len(found.landings)
        sync(sandbox, found, context)
        assert len(found.landings) == landed


def test_a_day_that_changes_between_its_pages_begins_again(sandbox: GoogleAnalyticsSandbox) -> None:
    found = table()
    with connected(sandbox, start_date=sandbox.today()) as made:
        pages = made.read("pages", None, Context())
        found.commit(next(pages))
        sandbox.add(1, sandbox.today())
        found.take(pages)
    assert found.landings == [STAGE, RESTART, STAGE, STAGE, APPLY]
    assert found.rows == truth(sandbox, since=sandbox.today())


@pytest.mark.parametrize("ago", [0, 1])
def test_a_day_that_never_stands_still_is_left_for_later(sandbox: GoogleAnalyticsSandbox, ago: int) -> None:
    """Of today nobody can expect to hold everything; a day that is over is another matter."""
    found, context, day = table(), Context(), sandbox.today() - ago * DAY

    def change(_: Batch) -> None:
        sandbox.add(1, day)

    with pytest.raises(TransientError, match="page_size") if ago else nullcontext():
        sync(sandbox, found, context, after=change, start_date=day)
    assert ["left for the next sync" in line for line in context.lines] == [True] * (1 - ago)
    assert found.landings == [STAGE, RESTART, STAGE, RESTART, STAGE, RESTART, STAGE, *[RESTART] * (1 - ago)]
    sync(sandbox, found, start_date=day)
    assert found.rows == truth(sandbox, since=day)


def test_a_page_that_is_empty_once_is_asked_for_again_and_one_that_stays_so_ends_the_read(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.EMPTY_PAGE, path=REPORTS, skip=2, count=2))
    found = table()
    sync(sandbox, found)
    assert found.rows == truth(sandbox)
    sandbox.faults.replace(Fault(kind=FaultKind.EMPTY_PAGE, path=REPORTS))
    with pytest.raises(FatalError, match="sends none at 0"):
        sync(sandbox, found)
    assert sandbox.faults.struck() == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page["dimensionHeaders"].reverse(),
        lambda page: page["metricHeaders"].pop(),
        lambda page: page["rows"][3]["metricValues"].pop(),
        lambda page: page["rows"][3]["dimensionValues"].pop(),
        lambda page: page["rows"][3]["dimensionValues"][0].update(value="20260101"),
        lambda page: page["metadata"].pop("timeZone"),
        lambda page: page.update(rowCount=200_000_000),
        lambda page: page.update(rowCount="many"),
    ],
    ids=["order", "header", "metrics", "dimensions", "day", "zone", "count", "type"],
)
def test_rows_that_were_not_asked_for_end_the_read(
    sandbox: GoogleAnalyticsSandbox, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]
) -> None:
    report = sandbox._report

    def spoilt(asked: Any, kinds: Any) -> dict[str, Any]:
        page = report(asked, kinds)
        if asked.dimensions:
            change(page)
        return page

    monkeypatch.setattr(sandbox, "_report", spoilt)
    failing(sandbox, FatalError)
