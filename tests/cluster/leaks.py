"""Where a secret could be seen: command lines, logs, rows, and nodes of the coordinator (I9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from tests.cluster.audit import Audit


def nodes(hosts: str) -> bytes:
    """Every path and content in ZooKeeper."""
    client = KazooClient(hosts=hosts)
    client.start(timeout=10)
    try:
        found, waiting = b"", ["/"]
        while waiting:
            path = waiting.pop()
            with suppress(NoNodeError):  # members come and go while we look
                found += path.encode() + b" " + (client.get(path)[0] or b"") + b"\n"
                waiting.extend(f"{path.rstrip('/')}/{name}" for name in client.get_children(path))
        return found
    finally:
        client.stop()
        client.close()


def tables(audit: Audit) -> bytes:
    """Every row of our own schema, and of the providers' tables, as text."""
    names = audit.execute(
        """
        SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
        """
    )
    rows = [audit.execute(f"SELECT t::text AS row FROM {name['name']} t") for name in names]
    return "\n".join(row["row"] for table in rows for row in table).encode()


def command_lines() -> bytes:
    """What `ps` shows of everybody, environment left out."""
    found = b""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found += (entry / "cmdline").read_bytes() + b"\n"
            except OSError:
                continue
    return found


def leaks(secrets: Mapping[str, str], places: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """The name of each secret that is found, and the place; a body as it is stored (hex) counts too."""
    for name, secret in secrets.items():
        assert len(secret) > 8, f"{name} is too short to be looked for"
        for place, text in places.items():
            if secret.encode() in text or secret.encode().hex().encode() in text:
                yield name, place
