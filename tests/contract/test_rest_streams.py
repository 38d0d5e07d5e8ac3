"""Declared streams pass the suite of leaderjobs.testing, in each of the ways in which they are read."""

from __future__ import annotations

from leaderjobs.testing import ConnectorContract, Provider
from tests.contract.connectors.catalog import CatalogStandIn, ChangesStandIn, MembersStandIn


class TestByCursor(ConnectorContract):
    def provider(self) -> Provider:
        return CatalogStandIn()


class TestChanges(ConnectorContract):
    def provider(self) -> Provider:
        return ChangesStandIn()


class TestChildren(ConnectorContract):
    def provider(self) -> Provider:
        return MembersStandIn()
