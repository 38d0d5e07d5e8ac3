"""The whole suite."""

from __future__ import annotations

from leaderjobs.testing.promises import Promises
from leaderjobs.testing.reading import Reading
from leaderjobs.testing.troubled import Troubled


class ConnectorContract(Promises, Reading, Troubled):
    """Every test that each connector must pass; subclass it as `TestSomething` and define `provider`."""
