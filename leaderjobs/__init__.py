"""One elected leader runs syncs and operations against third parties; each takes effect once."""

__version__ = "0.1.0"

__all__ = ["__version__"]
