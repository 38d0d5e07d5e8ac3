"""What the author of a connector tests it with: a context, a table, and the suite of the contract.

`Context` is a ReadContext that waits for nobody. `Table` lands batches exactly as `Landing` says, so that a
gap, a duplicate or a half update shows as a difference from the provider's own rows. `ConnectorContract` is
the suite that our own connectors pass; its subclass says by a `Provider` what it runs against:

    class TestMine(ConnectorContract):
        def provider(self) -> Provider:
            return MyProvider()

Only this package imports pytest, and no other module of leaderjobs imports this package.
"""

from __future__ import annotations

try:
    import pytest
except ImportError as error:
    raise ImportError(
        "leaderjobs.testing needs pytest, which leaderjobs does not install: python -m pip install pytest"
    ) from error

# Before they are imported: so that a failed assertion shows both sides.
pytest.register_assert_rewrite(
    "leaderjobs.testing.promises",
    "leaderjobs.testing.reading",
    "leaderjobs.testing.suite",
    "leaderjobs.testing.troubled",
)

from leaderjobs.testing.context import Clock, Context  # noqa: E402
from leaderjobs.testing.contract import ConnectorContract  # noqa: E402
from leaderjobs.testing.provider import LEAST_PAGES, Can, Provider, Trouble  # noqa: E402
from leaderjobs.testing.table import Table  # noqa: E402

__all__ = ["LEAST_PAGES", "Can", "Clock", "ConnectorContract", "Context", "Provider", "Table", "Trouble"]
