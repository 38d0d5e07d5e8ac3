"""What a row of a report says, and what becomes of a report whose definition changes."""

from __future__ import annotations

import pytest

from leaderjobs.connectors.google_analytics.streams import ReportSettings
from leaderjobs.errors import (
    FatalError,
)
from leaderjobs.sandbox.google_analytics.data import Quality
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from tests.integration.google_analytics.rig import CHECKS, DAY, REPORTS, RESTART, STAGE, failing, sync
from tests.unit.connectors.analytics import COUNTRIES, PAGES, table, truth


def test_the_quality_of_a_day_stands_on_each_of_its_rows(sandbox: GoogleAnalyticsSandbox) -> None:
    sampled, other = sandbox.today(), sandbox.today() - DAY
    sandbox.flag(sampled, Quality(sampled=True))
    sandbox.flag(other, Quality(thresholded=True, other_row=True))
    found = table()
    sync(sandbox, found)
    assert found.rows == truth(sandbox)
    told = {
        (row["date"], row["sampled"], row["thresholded"], row["other_row"]) for row in found.rows.values()
    }
    assert {fact for fact in told if any(fact[1:])} == {
        (sampled.isoformat(), True, False, False),
        (other.isoformat(), False, True, True),
    }


def test_numbers_keep_every_digit_and_lose_their_exponent(
    sandbox: GoogleAnalyticsSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = iter(
        ["9007199254740993", "-0.10000000000000000555", "4.76E-2", "1E+3", "NaN", "1E999999", "7"] * 50
    )
    monkeypatch.setattr("leaderjobs.sandbox.google_analytics.sandbox._shown", lambda _: next(sent))
    found = table()
    sync(sandbox, found, start_date=sandbox.today(), page_size=100)
    values = {row[name] for row in found.rows.values() for name in PAGES.metrics}
    assert values == {"9007199254740993", "-0.10000000000000000555", "0.0476", "1000", "NaN", "1E999999", "7"}


def test_values_that_are_empty_or_longer_than_an_index_can_hold_have_an_id(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    found = table()
    sync(sandbox, found)
    assert max(len(row["pagePath"]) for row in found.rows.values()) > 1000
    assert "" in {row["sessionSource"] for row in found.rows.values()}
    assert max(map(len, found.rows)) < 100


def test_filter_currency_and_empty_rows_are_asked_for(
    sandbox: GoogleAnalyticsSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ReportSettings(
        dimensions=("country", "itemName"),
        metrics=("itemsViewed",),
        dimension_filter={"filter": {"fieldName": "country", "stringFilter": {"value": "Germany"}}},
        currency="EUR",
        keep_empty_rows=True,
    )
    found = table(report, "items")
    sync(sandbox, found, reports={"items": report})
    assert {(row["country"], row["currency"]) for row in found.rows.values()} == {("Germany", "EUR")}
    assert "0" in {row["itemsViewed"] for row in found.rows.values()}
    fewer = ReportSettings(dimensions=("country", "itemName"), metrics=("itemsViewed",))
    sync(sandbox, found, reports={"items": fewer})
    assert "0" not in {row["itemsViewed"] for row in found.rows.values()}


@pytest.mark.parametrize("way", ["by an error", "by marking fields"])
def test_a_report_that_cannot_be_is_refused_by_its_fields_before_the_first_row(
    sandbox: GoogleAnalyticsSandbox, way: str
) -> None:
    sandbox.refuses_incompatible = way == "by an error"
    impossible = ReportSettings(dimensions=("itemName", "country"), metrics=("sessions", "activeUsers"))
    error = failing(sandbox, FatalError, reports={"pages": impossible})
    assert "report pages" in str(error)
    assert "sessions" in str(error)
    assert REPORTS not in sandbox.requests()


def test_a_field_that_does_not_exist_is_named(sandbox: GoogleAnalyticsSandbox) -> None:
    error = failing(sandbox, FatalError, reports={"pages": ReportSettings(metrics=("session",))})
    assert "report pages" in str(error)
    assert "Field session is not a valid metric" in str(error)


def test_another_definition_pulls_the_whole_history_again_over_the_old_one(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    found = table()
    assert sync(sandbox, found).lines == []
    assert sandbox.requests()[CHECKS] == 1
    changed = table(COUNTRIES)
    changed.__dict__.update({name: value for name, value in found.__dict__.items() if name != "stream"})
    context = sync(sandbox, changed, reports={"pages": COUNTRIES})
    assert changed.rows == truth(sandbox, COUNTRIES)
    assert sandbox.requests()[CHECKS] == 2
    assert ["whole history" in line for line in context.lines] == [True]
    assert sync(sandbox, changed, reports={"pages": COUNTRIES}).lines == []


def test_another_definition_drops_the_day_that_was_under_way(sandbox: GoogleAnalyticsSandbox) -> None:
    found = table()
    sync(sandbox, found, most=1)
    changed = table(COUNTRIES)
    changed.__dict__.update({name: value for name, value in found.__dict__.items() if name != "stream"})
    sync(sandbox, changed, reports={"pages": COUNTRIES})
    assert changed.landings[:2] == [STAGE, RESTART]
    assert changed.rows == truth(sandbox, COUNTRIES)


def test_an_earlier_start_date_pulls_from_there_and_a_later_one_nothing_again(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    found, today = table(), sandbox.today()
    sync(sandbox, found, start_date=today - DAY)
    context = sync(sandbox, found, start_date=today - 5 * DAY)
    assert ["start_date" in line for line in context.lines] == [True]
    assert found.rows == truth(sandbox)
    landed = len(found.landings)
    sync(sandbox, found, start_date=today, page_size=100)
    assert len(found.landings) - landed == 1
    assert found.rows == truth(sandbox)
