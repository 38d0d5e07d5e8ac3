"""Which addresses a provider may be asked at; needs no HTTP library, so the configuration can use it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_ALLOWED = (
    'allowed: "https://HOST[:PORT][/PATH]" without user, password, query or fragment; '
    "http only to this machine (localhost, 127.0.0.0/8, ::1)"
)
# Stricter than RFC 3986 on purpose: parsers disagree about backslashes, controls and escapes in the host.
_PLAIN = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?(/[A-Za-z0-9_.~/-]*)?")
_MOST_HOST_CHARS = 253
_MOST_LABEL_CHARS = 63


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine, without asking a name server."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_base_url(url: str) -> None:
    """ValueError naming what is allowed; never the URL itself, which may hold a password."""
    if _PLAIN.fullmatch(url) is None:
        raise ValueError(f"base_url: {_ALLOWED}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"base_url: {_ALLOWED}") from None
    labels = host.rstrip(".").split(".")
    if port == 0 or len(host) > _MOST_HOST_CHARS:
        raise ValueError(f"base_url: {_ALLOWED}")
    if ":" not in host and not all(0 < len(label) <= _MOST_LABEL_CHARS for label in labels):
        raise ValueError(f"base_url: {_ALLOWED}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"base_url: {_ALLOWED}")
