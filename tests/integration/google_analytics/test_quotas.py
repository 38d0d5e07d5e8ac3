"""The quotas of a property, server errors, tokens and refusals."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from leaderjobs.connectors.google_analytics.connector import GoogleAnalyticsConnector
from leaderjobs.connectors.google_analytics.errors import SERVER_ERROR_DELAY, SERVER_ERROR_PAUSE
from leaderjobs.connectors.pacing import Paces
from leaderjobs.errors import (
    FatalError,
    Forbidden,
    LeaderJobsError,
    LeadershipLost,
    NeedsUser,
    QuotaExhausted,
    TransientError,
    Unauthenticated,
)
from leaderjobs.model.batch import Batch
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.google_analytics.sandbox import GoogleAnalyticsSandbox
from leaderjobs.testing import Context
from tests.integration.google_analytics.rig import (
    APPLY,
    CHECKS,
    METADATA,
    REPORTS,
    STAGE,
    TOKENS,
    Now,
    connected,
    failing,
    sync,
)
from tests.unit.connectors.analytics import by_key, table, truth


def test_the_propertys_quotas_are_shown(sandbox: GoogleAnalyticsSandbox) -> None:
    context = sync(sandbox, table())
    told = {name.removeprefix("google_analytics:424242:"): used for name, used in context.used.items()}
    asked = sandbox.requests()
    assert told["tokens/day"] == told["tokens/hour"] == 10 * (asked[REPORTS] + asked[CHECKS])
    assert told["server_errors/hour"] == 0


@pytest.mark.parametrize(
    ("quota", "limit", "resets_at"),
    [
        ("tokensPerDay", 200_000, datetime(2026, 3, 10, 7, 0, tzinfo=UTC)),
        ("tokensPerProjectPerHour", 14_000, datetime(2026, 3, 9, 17, 0, tzinfo=UTC)),
    ],
)
def test_the_reserve_is_not_touched_and_the_sync_goes_on_after_the_reset(
    sandbox: GoogleAnalyticsSandbox, now: Now, quota: str, limit: int, resets_at: datetime
) -> None:
    # Of the compatibility check and the time zone, then of four pages; the fifth would reach into the reserve.
    sandbox.quotas.limits[quota] = limit // 10 + 6 * 10 + 5
    found = table()
    with pytest.raises(QuotaExhausted) as caught:
        sync(sandbox, found)
    assert caught.value.until == resets_at
    assert sandbox.quotas.remaining(quota) == limit // 10 + 5
    assert found.landings == [STAGE, STAGE, APPLY, STAGE]
    now.at = resets_at
    sandbox.quotas.limits[quota] = limit
    sync(sandbox, found)
    assert found.rows == truth(sandbox)


def test_a_connector_that_outlives_the_period_goes_on(sandbox: GoogleAnalyticsSandbox, now: Now) -> None:
    sandbox.quotas.limits["tokensPerHour"] = 4_000 + 6 * 10
    found = table()
    with connected(sandbox) as made:
        with pytest.raises(QuotaExhausted):
            found.sync(made, "pages")
        asked = sandbox.requests()
        with pytest.raises(QuotaExhausted):
            found.sync(made, "pages")
        assert sandbox.requests() == asked
        now.at += timedelta(hours=1)
        sandbox.quotas.limits["tokensPerHour"] = 40_000
        found.sync(made, "pages")
    assert found.rows == truth(sandbox)


def test_a_property_of_analytics_360_has_a_larger_reserve(sandbox: GoogleAnalyticsSandbox) -> None:
    sandbox.quotas.limits |= {"tokensPerDay": 1_900_000, "tokensPerHour": 39_000}
    failing(sandbox, QuotaExhausted)
    assert sandbox.requests()[REPORTS] == 1


@pytest.mark.parametrize(
    ("name", "until"),
    [
        ("tokensPerDay", datetime(2026, 3, 10, 7, 0, tzinfo=UTC)),
        ("tokensPerHour", datetime(2026, 3, 9, 17, 0, tzinfo=UTC)),
        ("tokensPerProjectPerHour", datetime(2026, 3, 9, 17, 0, tzinfo=UTC)),
    ],
)
def test_a_quota_that_is_used_up_parks_until_it_is_renewed(
    sandbox: GoogleAnalyticsSandbox, name: str, until: datetime
) -> None:
    sandbox.quotas.limits[name] = 0
    error = failing(sandbox, QuotaExhausted)
    assert isinstance(error, QuotaExhausted)
    assert error.until == until
    assert sum(sandbox.requests().values()) == 2


def test_a_server_error_is_tried_once_more_after_a_long_wait(sandbox: GoogleAnalyticsSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.SERVER_ERROR, path=REPORTS, skip=3, count=1))
    found = table()
    context = sync(sandbox, found)
    assert found.rows == truth(sandbox)
    # The others are the pace's, of less than a second.
    assert [delay for delay in context.waits if delay > timedelta(seconds=1)] == [SERVER_ERROR_PAUSE]


def test_attempts_never_use_up_the_server_errors_of_an_hour(sandbox: GoogleAnalyticsSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.SERVER_ERROR, path=REPORTS))
    context, ended = Context(), list[TransientError]()
    while not ended or type(ended[-1]) is TransientError:
        with pytest.raises(TransientError) as caught:
            sync(sandbox, table(), context)
        ended.append(caught.value)
    assert [type(error) for error in ended] == [TransientError] * 4 + [QuotaExhausted]
    assert {error.retry_after for error in ended[:4]} == {SERVER_ERROR_DELAY}
    assert isinstance(ended[4], QuotaExhausted)
    assert ended[4].until == datetime(2026, 3, 9, 17, 0, tzinfo=UTC)
    assert sandbox.quotas.remaining("serverErrorsPerProjectPerHour") == 1


def test_a_term_that_ends_during_the_long_wait_is_not_waited_for(sandbox: GoogleAnalyticsSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.SERVER_ERROR, path=REPORTS))
    context = Context()

    def lost(delay: timedelta) -> None:
        assert delay == SERVER_ERROR_PAUSE
        raise LeadershipLost("over")

    context.wait = lost  # type: ignore[method-assign] # as the engine's does when the term ends
    with pytest.raises(LeadershipLost):
        sync(sandbox, table(), context)
    assert sandbox.faults.struck() == 1


def test_a_token_that_expires_in_the_middle_costs_one_renewal_and_no_page(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    found = table()

    def expire(_: Batch) -> None:
        if len(found.landings) == 5:
            sandbox.tokens.expire()

    sync(sandbox, found, after=expire)
    assert found.rows == truth(sandbox)
    assert sandbox.tokens.issued == 2
    assert sandbox.state()["pages_asked_twice"] == 0
    assert sandbox.requests()[TOKENS] == 2


def test_a_grant_that_is_withdrawn_in_the_middle_needs_its_user_and_goes_on_once_given_back(
    sandbox: GoogleAnalyticsSandbox,
) -> None:
    found = table()

    def withdraw(_: Batch) -> None:
        if len(found.landings) == 5:
            sandbox.tokens.revoke()

    with pytest.raises(NeedsUser) as caught:
        sync(sandbox, found, after=withdraw)
    assert caught.value.code == "invalid_grant"
    assert len(found.landings) == 5
    assert sandbox.requests()[TOKENS] == 2
    sandbox.tokens.revoke(revoked=False)
    sync(sandbox, found)
    assert found.rows == truth(sandbox)
    assert sandbox.state()["pages_asked_twice"] == 0


def test_a_token_that_is_never_accepted_is_renewed_once(sandbox: GoogleAnalyticsSandbox) -> None:
    sandbox.faults.replace(
        Fault(kind=FaultKind.ERROR, status=401, error_type="UNAUTHENTICATED", error_code="", path="/v1beta")
    )
    failing(sandbox, Unauthenticated)
    assert sandbox.requests() == {TOKENS: 2, CHECKS: 2}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            Fault(
                kind=FaultKind.ERROR,
                status=403,
                error_type="PERMISSION_DENIED",
                error_code="SERVICE_DISABLED",
            ),
            Forbidden,
        ),
        (Fault(kind=FaultKind.ERROR, status=404, error_type="NOT_FOUND", error_code=""), FatalError),
    ],
)
def test_other_refusals_are_told_with_googles_words(
    sandbox: GoogleAnalyticsSandbox, fault: Fault, expected: type[LeaderJobsError]
) -> None:
    sandbox.faults.replace(
        Fault(
            **{name: getattr(fault, name) for name in ("kind", "status", "error_type", "error_code")},
            path="/v1beta",
        )
    )
    error = failing(sandbox, expected)
    assert "as asked for" in str(error)
    with connected(sandbox) as made, pytest.raises(expected):
        made.check()


def test_check_reads_one_name_of_the_property(sandbox: GoogleAnalyticsSandbox) -> None:
    with connected(sandbox) as made:
        made.check()
    with connected(sandbox, property="5") as made, pytest.raises(Forbidden, match="Viewer"):
        made.check()
    assert sandbox.requests()[METADATA] == 1


def test_a_service_account_reads_the_same(now: Now, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    now.at = now.real()  # google-auth signs by the real clock.
    found, context = table(), Context()
    with GoogleAnalyticsSandbox(days=2) as sandbox:
        made = GoogleAnalyticsConnector("web", by_key(sandbox), Paces(elapsed=context.clock))
        found.sync(made, "pages", context)
        made.close()
        assert found.rows == truth(sandbox)
    shown = [json.dumps(found.rows), json.dumps(found.cursor), caplog.text, repr(made), *context.lines]
    assert not [secret for secret in sandbox.tokens.secrets() if secret in "".join(shown)]
