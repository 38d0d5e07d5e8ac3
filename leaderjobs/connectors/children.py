"""What child processes get of our environment: where programs and certificates are, none of our secrets."""

from __future__ import annotations

import os

_PASSED_ON = (
    "PATH", "HOME", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "all_proxy",
    "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
)  # fmt: skip


def environment(**others: str) -> dict[str, str]:
    """Those variables that are passed on, and `others`."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": os.defpath, **kept, **others}
