"""What an election on ZooKeeper assumes of its servers, looked at one by one."""

from __future__ import annotations

import contextlib
import re
import socket
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from leaderjobs.clock import elapsed
from leaderjobs.coordination.base import PARTITION
from leaderjobs.coordination.paths import MOST_SHARD_BYTES, Paths
from leaderjobs.coordination.zookeeper import check_timeout
from leaderjobs.coordination.zookeeper_session import NodeGone, Session
from leaderjobs.coordination.zookeeper_url import ZooKeeperUrl
from leaderjobs.errors import ConfigError, CoordinatorUnavailable
from leaderjobs.model.finding import Finding, FindingVerdict

CHECKS: Final = (
    "coordinator.reachable",
    "coordinator.servers",
    "coordinator.version",
    "coordinator.words",
    "coordinator.session_timeout",
    "coordinator.latency",
    "coordinator.node_size",
    "coordinator.acl",
)
CONNECT_PATIENCE: Final = timedelta(seconds=5)
WORD_PATIENCE: Final = 2.0
"""Seconds for one server's answer to one four-letter word."""
MOST_WORD_BYTES: Final = 64 * 1024
MOST_AT_ONCE: Final = 8
LOWEST: Final = (3, 5)
"""Older servers know no `reconfig` of their own and no TLS; kazoo is not tried against them any more."""
WORDS: Final = ("ruok", "srvr", "mntr", "conf")
PROBED_BYTES: Final = MOST_SHARD_BYTES + 4096
"""The largest packet there is: a heartbeat with all of its shards, and what stands around them."""
PROBES: Final = 5
SLOW_SHARE: Final = 1 / 20
"""Of the session timeout: a heartbeat is due every tenth, and must leave room for a second one."""
BROKEN_SHARE: Final = 1 / 4
"""Of the session timeout: the longest that a heartbeat is waited for."""
_VERSION = re.compile(r"Zookeeper version: v?(\d+)\.(\d+)(\.\d+)?")
_REFUSED = "is not executed because it is not in the whitelist"
_HARMLESS = frozenset({"READ"})


@dataclass(frozen=True, slots=True)
class _Server:
    """What one server said to each word; None where it said nothing."""

    host: str
    answers: dict[str, str | None]

    @property
    def there(self) -> bool:
        return any(answer is not None for answer in self.answers.values())


class ZooKeeperExaminer:
    """An `Examiner` for ZooKeeper."""

    def __init__(self, url: str, cluster: str, session_timeout: timedelta, *, embedded: bool) -> None:
        """ConfigError as for a coordinator; `embedded` servers are open to local users on purpose."""
        self._server = ZooKeeperUrl.parse(url)
        self._paths = Paths(self._server.root, cluster)
        self._asked = session_timeout
        self._embedded = embedded

    def examine(self) -> Iterator[Finding]:
        """As the contract says."""
        session = Session(self._server, self._asked, lambda _event: None)
        try:
            yield from self._examine(session)
        finally:
            session.end()

    def _examine(self, session: Session) -> Iterator[Finding]:
        began = elapsed()
        try:
            session.open(CONNECT_PATIENCE)
        except (CoordinatorUnavailable, ConfigError) as error:
            yield _failed(
                "coordinator.reachable",
                str(error),
                "start ZooKeeper, or correct cluster.coordinator; look for a firewall in between",
            )
            yield from self._servers()
            for check in CHECKS[4:]:
                yield Finding(check, FindingVerdict.SKIPPED, "ZooKeeper cannot be reached")
            return
        took = (elapsed() - began) * 1000
        yield _ok("coordinator.reachable", f"ZooKeeper at {self._server} granted a session in {took:.0f} ms")
        yield from self._servers()
        yield self._timeout(session)
        yield self._guarded("coordinator.latency", self._latency, session)
        yield self._guarded("coordinator.node_size", self._node_size, session)
        yield self._guarded("coordinator.acl", self._acl, session)

    @staticmethod
    def _guarded(check: str, look: Callable[[Session], Finding], session: Session) -> Finding:
        try:
            return look(session)
        except ConfigError as error:
            return _failed(
                check, str(error), "correct the credentials in cluster.coordinator, or the nodes' ACL"
            )
        except (CoordinatorUnavailable, NodeGone) as error:
            said = str(error) or type(error).__name__
            return _failed(check, said, "run doctor again when ZooKeeper is at rest")

    # -- each server ---------------------------------------------------------------------------------------

    def _servers(self) -> Iterator[Finding]:
        if self._server.tls:
            for check in CHECKS[1:4]:
                yield Finding(check, FindingVerdict.SKIPPED, "over TLS nobody is asked four-letter words")
            return
        with ThreadPoolExecutor(max_workers=MOST_AT_ONCE, thread_name_prefix="ask-zookeeper") as threads:
            servers = list(threads.map(_ask, self._server.hosts))
        yield _of_servers(servers)
        there = [server for server in servers if server.there]
        yield _of_versions(there)
        yield _of_words(there)

    # -- a session -----------------------------------------------------------------------------------------

    def _timeout(self, session: Session) -> Finding:
        check = "coordinator.session_timeout"
        granted, asked = session.granted, self._asked
        try:
            check_timeout(session, asked)
        except ConfigError as error:
            return _failed(
                check, str(error), "raise cluster.session_timeout, or lower tickTime on every server"
            )
        if granted != asked:
            return Finding(
                check,
                FindingVerdict.WARNING,
                f"asked for {asked.total_seconds():g} s and granted {granted.total_seconds():g} s: so long a "
                "leader that is cut off keeps the others waiting",
                "change minSessionTimeout and maxSessionTimeout on every server, or cluster.session_timeout",
            )
        tick = session.tick().total_seconds()
        return _ok(check, f"{granted.total_seconds():g} s granted as asked, at a tick of {tick:g} s")

    def _latency(self, session: Session) -> Finding:
        session.ensure(self._paths.parents())
        with _scratch(session, self._paths, b"") as path:
            spans = []
            for _ in range(PROBES):
                began = elapsed()
                session.write(path, b"")
                spans.append(elapsed() - began)
        slowest, timeout = max(spans), session.granted.total_seconds()
        told = f"{PROBES} writes took {min(spans) * 1000:.0f} to {slowest * 1000:.0f} ms"
        remedy = "give ZooKeeper a disk of its own for dataLogDir, or raise cluster.session_timeout"
        if slowest > timeout * BROKEN_SHARE:
            why = f"a leader is given up after {timeout * BROKEN_SHARE:g} s without an answer"
            return _failed("coordinator.latency", f"{told}; {why}", remedy)
        if slowest > timeout * SLOW_SHARE:
            return Finding(
                "coordinator.latency",
                FindingVerdict.WARNING,
                f"{told}; heartbeats want one in {timeout * SLOW_SHARE * 1000:g} ms",
                remedy,
            )
        return _ok("coordinator.latency", told)

    def _node_size(self, session: Session) -> Finding:
        """With a session of its own: a server breaks the connection off that sends it too much."""
        session.ensure(self._paths.parents())
        probing = Session(self._server, self._asked, lambda _event: None)
        try:
            probing.open(CONNECT_PATIENCE)
            with _scratch(probing, self._paths, bytes(PROBED_BYTES)):
                pass
        except CoordinatorUnavailable:
            # Raises where the server is away altogether, which says nothing about sizes.
            session.exists(self._paths.base)
            return _failed(
                "coordinator.node_size",
                f"a write of {PROBED_BYTES // 1024} KiB was not taken, and a heartbeat may be that large",
                "set -Djute.maxbuffer=1048575 (the default) or more on every server",
            )
        finally:
            probing.end()
        return _ok("coordinator.node_size", f"a write of {PROBED_BYTES // 1024} KiB was taken")

    def _acl(self, session: Session) -> Finding:
        check, paths = "coordinator.acl", self._paths
        looked = (paths.base, paths.members, paths.candidates(PARTITION), paths.leader(PARTITION))
        open_to_all = []
        for path in looked:
            with contextlib.suppress(NodeGone):
                grants = session.grants(path)
                if any(grant.scheme == "world" and grant.permissions - _HARMLESS for grant in grants):
                    open_to_all.append(path)
        if not open_to_all:
            return _ok(check, "our nodes are closed to everybody else")
        if self._embedded:
            return Finding(
                check,
                FindingVerdict.SKIPPED,
                "the embedded ZooKeeper is open to this machine's users, on loopback",
            )
        first = (
            "" if self._server.user else "put USER:PASSWORD@ before the hosts of cluster.coordinator, and "
        )
        user = self._server.user or "USER"
        return Finding(
            check,
            FindingVerdict.WARNING,
            f"whoever reaches a server's port may change {open_to_all[0]}, delete a leader or pose as one",
            f"{first}give the nodes that are there to that user: addauth digest {user}:PASSWORD, then "
            f"setAcl -R {paths.base} auth::cdrwa in zkCli.sh",
        )


@contextlib.contextmanager
def _scratch(session: Session, paths: Paths, data: bytes) -> Iterator[str]:
    """A node of our own below the cluster's; ephemeral, so that it goes even when we cannot delete it."""
    path = session.create(f"{paths.base}/doctor-{uuid.uuid4().hex}", data, ephemeral=True)
    yield path
    session.delete(path)


def _ask(host: str) -> _Server:
    """Each word takes a connection of its own; who is silent at the first is not waited for again."""
    name, _, port = host.rpartition(":")
    address = (name.strip("[]"), int(port))
    first, *others = WORDS
    answers = {first: _answer(address, first)}
    silent = answers[first] is None
    answers.update({word: None if silent else _answer(address, word) for word in others})
    return _Server(host, answers)


def _answer(address: tuple[str, int], word: str) -> str | None:
    until = elapsed() + WORD_PATIENCE
    answer = b""
    try:
        with socket.create_connection(address, timeout=WORD_PATIENCE) as plain:
            plain.sendall(word.encode())
            while len(answer) < MOST_WORD_BYTES and (left := until - elapsed()) > 0:
                plain.settimeout(left)
                part = plain.recv(8192)
                if not part:
                    break
                answer += part
    except OSError:
        pass
    return answer.decode(errors="replace") or None


def _of_servers(servers: list[_Server]) -> Finding:
    check = "coordinator.servers"
    silent = [server.host for server in servers if not server.there]
    if not silent:
        return _ok(check, f"{len(servers)} of {len(servers)} servers answer")
    told = f"{len(servers) - len(silent)} of {len(servers)} servers answer; silent: {', '.join(silent)}"
    remedy = "start what is down, or take it out of cluster.coordinator"
    if len(silent) * 2 >= len(servers):
        return _failed(check, told, remedy)
    return Finding(check, FindingVerdict.WARNING, told, remedy)


def _of_versions(servers: list[_Server]) -> Finding:
    check = "coordinator.version"
    found = {server.host: _VERSION.search(server.answers["srvr"] or "") for server in servers}
    versions = {host: match for host, match in found.items() if match}
    if not versions:
        return Finding(
            check,
            FindingVerdict.SKIPPED,
            "no server tells its version",
            "set 4lw.commands.whitelist=ruok,srvr,mntr,conf on every server",
        )
    shown = ", ".join(sorted({".".join(_numbers(match)) for match in versions.values()}))
    old = [host for host, match in versions.items() if tuple(map(int, match.group(1, 2))) < LOWEST]
    if old:
        return _failed(check, f"ZooKeeper {shown}", f"upgrade {', '.join(old)} to 3.8 or newer")
    return _ok(check, f"ZooKeeper {shown}")


def _numbers(match: re.Match[str]) -> list[str]:
    return [part.strip(".") for part in match.groups() if part]


def _of_words(servers: list[_Server]) -> Finding:
    check = "coordinator.words"
    if not servers:
        return Finding(check, FindingVerdict.SKIPPED, "no server answers")
    troubled = [
        server.host
        for server in servers
        if server.answers["ruok"] not in {"imok", None} and _REFUSED not in (server.answers["ruok"] or "")
    ]
    if troubled:
        return _failed(
            check, f"{troubled[0]} answers ruok with something else than imok", "look into its log"
        )
    refused = sorted({word for server in servers for word in WORDS if _unanswered(server.answers[word])})
    if not refused:
        return _ok(check, "ruok, srvr, mntr and conf are answered")
    assumed = "; without conf a tick of 2 s is taken for granted" if "conf" in refused else ""
    return Finding(
        check,
        FindingVerdict.WARNING,
        f"not answered: {', '.join(refused)}{assumed}",
        "set 4lw.commands.whitelist=ruok,srvr,mntr,conf on every server",
    )


def _unanswered(answer: str | None) -> bool:
    return answer is None or _REFUSED in answer


def _ok(check: str, message: str) -> Finding:
    return Finding(check, FindingVerdict.OK, message)


def _failed(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, FindingVerdict.FAILED, message, remedy)
