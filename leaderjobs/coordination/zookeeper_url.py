"""Where ZooKeeper is: `zookeeper://[user:password@]host:2181,host:2181/chroot[?tls=true&ca=/path.pem]`.

With `user:password` the client authenticates by digest and every node it makes is closed to everybody
else (CREATOR_ALL). WITHOUT THEM EVERY NODE IS OPEN: whoever reaches a server's port can read the line,
delete a leader or pose as one. The fence in Postgres still keeps their writes out, but not their
mischief; use credentials wherever the port is not private, and `tls=true` where the wire is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import parse_qsl, unquote

from leaderjobs.errors import ConfigError

SCHEME: Final = "zookeeper://"
DEFAULT_PORT: Final = 2181
MOST_HOSTS: Final = 32
_FORM: Final = "zookeeper://[user:password@]host:2181,host:2181/chroot[?tls=true&ca=/path.pem]"


@dataclass(frozen=True, slots=True)
class ZooKeeperUrl:
    """A parsed URL; shows no password, not even in its repr."""

    hosts: tuple[str, ...]
    """Each `host:port`, or `[address]:port`."""
    root: str
    """Empty, or an absolute path without a trailing slash."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """From text; ConfigError says what is wrong without repeating the credentials."""
        if not url.startswith(SCHEME):
            raise ConfigError(f"coordinator URL does not begin with {SCHEME}; write {_FORM}")
        rest, _, query = url[len(SCHEME) :].partition("?")
        # A password may hold @ and / only percent-encoded, so the first slash ends the hosts.
        authority, slash, path = rest.partition("/")
        credentials, _, hosts = authority.rpartition("@")
        user, colon, password = credentials.partition(":")
        if credentials and not (user and colon and password):
            raise ConfigError(f"coordinator URL needs both a user and a password before the @; write {_FORM}")
        options = cls._options(query)
        ca = options.get("ca")
        return cls(
            hosts=tuple(_host(host) for host in _split(hosts)),
            root=_root(slash + path),
            user=unquote(user) or None,
            password=unquote(password) or None,
            tls=options.get("tls") == "true" or ca is not None,
            ca=ca,
        )

    @staticmethod
    def _options(query: str) -> dict[str, str]:
        options = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := sorted(options.keys() - {"ca", "tls"}):
            raise ConfigError(f"coordinator URL has an unknown option {unknown[0]!r}; allowed: tls, ca")
        if options.get("tls", "true") not in {"true", "false"}:
            raise ConfigError(f"coordinator URL has tls={options['tls']!r}; allowed: true, false")
        if options.get("ca") == "" or ("ca" in options and options.get("tls") == "false"):
            raise ConfigError(
                "coordinator URL has a ca without a use for it; give its path, and leave tls on"
            )
        return options

    @property
    def credential(self) -> str | None:
        """`user:password` for digest authentication."""
        return f"{self.user}:{self.password}" if self.user else None

    def __str__(self) -> str:
        """The hosts and the root, which are all that a message needs."""
        return ",".join(self.hosts) + (self.root or "/")


def _split(hosts: str) -> list[str]:
    found = [host.strip() for host in hosts.split(",")]
    if not all(found) or len(found) > MOST_HOSTS:
        raise ConfigError(f"coordinator URL names no host, an empty one or over {MOST_HOSTS}; write {_FORM}")
    return found


def _host(text: str) -> str:
    name, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    name, port = (name, port) if colon else (text, str(DEFAULT_PORT))
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    known = port.isascii() and port.isdigit() and 0 < int(port) < 2**16
    if not bare or not known or set(name) & set("/ ") or (":" in bare and bare == name):
        raise ConfigError(f"coordinator URL has a bad host {text!r}; write host:port or [address]:port")
    return f"{name}:{port}"


def _root(path: str) -> str:
    segments = [unquote(segment) for segment in path.split("/") if segment]
    if any(segment in {".", ".."} or "\0" in segment or "/" in segment for segment in segments):
        raise ConfigError(f"coordinator URL has a path that ZooKeeper does not allow: {path!r}")
    return "".join(f"/{segment}" for segment in segments)
