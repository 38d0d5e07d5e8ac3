"""One elected leader runs syncs and operations against third parties; each takes effect once.

Programs that enqueue use `Client`; everything else is run by the command `leaderjobs`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaderjobs.client import Client, Enqueued

__version__ = "0.1.0"
__all__ = ["Client", "Enqueued", "__version__"]


def __getattr__(name: str) -> object:
    """Import the client when it is first named: the commands, which come in here too, must start quickly."""
    if name in {"Client", "Enqueued"}:
        from leaderjobs import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
