"""The shape of the two server URLs, checked early so that a bad one is refused with its line."""

from __future__ import annotations

import re

from leaderjobs.config.settings import ClusterSettings
from leaderjobs.errors import ConfigError
from leaderjobs.values import Secret, hide_passwords

COORDINATOR_ALLOWED = "zookeeper://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...][/CHROOT][?tls=true&ca=FILE]"
DATABASE_ALLOWED = "postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE"

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?"
_HOSTS = re.compile(_HOST.replace("?P<port>", "") + r"(?:," + _HOST.replace("?P<port>", "") + r")*\Z")
_PORTS = re.compile(r":(\d{1,5})(?=,|\Z)")
_URL = re.compile(
    r"(?P<scheme>[a-z]+)://(?:(?P<user>[^\s@/]*)@)?(?P<hosts>[^\s@/?#]*)(?P<path>/[^\s?#]*)?"
    r"(?P<query>\?[^\s#]*)?\Z"
)


def is_coordinator(url: str) -> bool:
    """Whether `url` reads as COORDINATOR_ALLOWED."""
    found = _URL.match(url)
    if not found or found["scheme"] != "zookeeper" or not _good_hosts(found["hosts"]):
        return False
    chroot = (found["path"] or "").rstrip("/")
    return all(part not in {"", ".", ".."} for part in chroot.split("/")[1:])


def is_database(url: str) -> bool:
    """Whether `url` reads as DATABASE_ALLOWED; the host may be left out for a socket."""
    found = _URL.match(url)
    if not found or found["scheme"] not in {"postgresql", "postgres"}:
        return False
    return not found["hosts"] or _good_hosts(found["hosts"])


def shown_url(url: str) -> str:
    """`url` without its password; *** where it cannot be told which part the password is."""
    hidden = hide_passwords(url)
    authority = hidden.partition("://")[2].partition("/")[0].rpartition("@")[2]
    sure = authority and all(re.fullmatch(_HOST, host) for host in authority.split(","))
    return f'"{hidden}"' if sure and hidden.isprintable() and len(hidden) <= 200 else "***"


def coordinator_url(cluster: ClusterSettings) -> str | None:
    """The coordinator's URL revealed and checked; None means embedded. Reads the environment or a file."""
    return _revealed("cluster.coordinator", cluster.coordinator)


def database_url(cluster: ClusterSettings) -> str | None:
    """The database's URL revealed and checked; None means embedded. Reads the environment or a file."""
    return _revealed("cluster.database", cluster.database)


def _revealed(key: str, secret: Secret | None) -> str | None:
    if secret is None:
        return None
    url = secret.reveal()
    good, allowed = (
        (is_coordinator, COORDINATOR_ALLOWED)
        if key == "cluster.coordinator"
        else (is_database, DATABASE_ALLOWED)
    )
    if not good(url):
        raise ConfigError(f"{key} (from {secret}) = {shown_url(url)}: allowed: {allowed}")
    return url


def _good_hosts(hosts: str) -> bool:
    return bool(_HOSTS.match(hosts)) and all(0 < int(port) < 65536 for port in _PORTS.findall(hosts))
