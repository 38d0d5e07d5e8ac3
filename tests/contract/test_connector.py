"""Every connector of ours passes the suite of leaderjobs.testing, over a sandbox of its provider."""

from __future__ import annotations

from contextlib import suppress

import pytest

from leaderjobs.connectors import registry
from leaderjobs.connectors.pacing import Paces
from leaderjobs.errors import TransientError
from leaderjobs.model.batch import Landing
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.testing import ConnectorContract, Provider
from leaderjobs.testing.suite import connected, synced, table_of
from tests.contract.connectors.google_analytics import GoogleAnalyticsStandIn
from tests.contract.connectors.plaid import PlaidStandIn
from tests.contract.connectors.stripe import StripeStandIn
from tests.contract.connectors.youtube import YouTubeStandIn
from tests.unit.connectors.harness import settings


class TestPlaid(ConnectorContract):
    def provider(self) -> Provider:
        return PlaidStandIn()

    def test_it_is_what_the_registry_makes(self, running: PlaidStandIn) -> None:
        options = settings(running.sandbox)
        made = registry.make("plaid", "other", options, Paces())
        with connected(running) as connector:
            assert type(made) is type(connector)
            assert connector.streams == registry.streams("plaid", "other", options)
        made.close()

    @pytest.mark.parametrize("seed", range(3))
    def test_updates_that_break_off_and_mutate_land_whole_or_not_at_all(
        self, running: PlaidStandIn, seed: int
    ) -> None:
        kinds = ("reset", "truncated", "html", "server_error", "rate_limited", "mutation", "duplicate_id")
        running.sandbox.faults.replace(*(Fault(kind=FaultKind(kind), probability=0.06) for kind in kinds))
        running.sandbox.faults._random.seed(seed)
        table = table_of(running)
        for _ in range(30):
            with suppress(TransientError):
                synced(running, table)
            # Also where the read broke off inside an update: then its pages are worth nothing any more.
            running.add(5)
            running.modify(25)
            running.remove(5)
            running.sandbox.post_pending(2)
        assert running.sandbox.faults.struck() > 10
        running.calm()
        synced(running, table)
        assert table.rows == running.rows("transactions")
        assert table.staged == []
        assert Landing.RESTART in table.landings


class TestGoogleAnalytics(ConnectorContract):
    def provider(self) -> Provider:
        return GoogleAnalyticsStandIn()


class TestYouTube(ConnectorContract):
    def provider(self) -> Provider:
        return YouTubeStandIn()


class TestStripe(ConnectorContract):
    def provider(self) -> Provider:
        return StripeStandIn()
