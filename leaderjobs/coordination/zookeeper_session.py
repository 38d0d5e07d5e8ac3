"""One session with ZooKeeper, from `open` to its end, with at most one request in flight.

- kazoo reconnects with a new session after the old one expired. A `Session` that does not `renew` is over
  then, once and for all: whoever needs another makes another `Session`.
- A client that keeps sending never notices a dead link, because to kazoo every request counts as a ping.
  So a request that was not answered in time is waited for before the next is sent.
- Every wait for an answer ends after a quarter of the granted timeout. kazoo's own `retry` is not used: it
  would send a write again in the next session.
- kazoo's `stop` can block for seconds on a dead link. `end` runs it on a thread of its own, and shuts the
  socket under it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from kazoo.exceptions import (
    AuthFailedError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import KazooState, KeeperState

from leaderjobs.clock import elapsed
from leaderjobs.coordination.base import CoordinatorEvent
from leaderjobs.coordination.zookeeper_client import StrictClient, log
from leaderjobs.coordination.zookeeper_url import ZooKeeperUrl
from leaderjobs.errors import ConfigError, CoordinatorUnavailable

REQUEST_SHARE: Final = 1 / 4
"""Of the granted session timeout: the longest wait for one answer."""
END_GRACE: Final = timedelta(seconds=1)
"""For the server's answer to the end of a session, and again for the client's own thread after that."""
ASSUMED_TICK: Final = timedelta(seconds=2)
"""Of a server that does not tell: the value in the configuration that ZooKeeper ships."""
TICK_WAIT: Final = 1.0
_MOST_CONF_READS: Final = 4
_TICK = re.compile(rb"^tickTime=(\d{1,9})\s*$", re.MULTILINE)

NodeGone = NoNodeError
NodeExists = NodeExistsError

StateListener = Callable[[CoordinatorEvent], None]


@dataclass(frozen=True, slots=True)
class Stat:
    """What is used of a node's stat."""

    stamp: int
    """czxid: the transaction that created this node."""
    changed: int
    """mzxid: the transaction that last wrote it."""
    owner: int
    """The session that an ephemeral node lives by; 0 for a persistent one."""
    version: int
    created_at: float
    """Wall clock of the server, seconds since 1970."""
    written_at: float

    @classmethod
    def of(cls, stat: Any) -> Stat:  # noqa: ANN401 - kazoo has no types
        """From kazoo's."""
        return cls(
            stat.czxid, stat.mzxid, stat.ephemeralOwner, stat.version, stat.ctime / 1000, stat.mtime / 1000
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of a node's ACL."""

    scheme: str
    who: str
    """`anyone`, or a user and the hash of a password."""
    permissions: frozenset[str]
    """READ, WRITE, CREATE, DELETE, ADMIN, or ALL."""


class Session:
    """A session from `open` to its end; made for one calling thread, except `end` (any thread).

    With `renews` the client goes on with a new session when one expires (for reads and for nodes that are
    not ephemeral); without, the session is `over` then, and every request is refused.
    """

    def __init__(
        self,
        server: ZooKeeperUrl,
        timeout: timedelta,
        on_state: StateListener,
        *,
        renews: bool = False,
    ) -> None:
        """`on_state` is called on the connection thread with SUSPENDED, RESUMED and LOST."""
        self._server = server
        self._asked = timeout
        self._tell = on_state
        self._renews = renews
        self._changed = threading.Condition()
        self._connected = False
        self._was_connected = False
        self._granted: float | None = None
        self._ending = False
        self._unanswered: Any = None
        self.over = False
        """Set for good when the session has expired or was ended."""
        self.id = 0
        self.sent_at = 0.0
        """`clock.elapsed()` just before the latest request was sent."""
        self.deadline: float | None = None
        """No request waits beyond this instant of `clock.elapsed()`."""
        self._client = StrictClient(
            server, timeout, renews=renews, on_state=self._on_state, on_granted=self._on_granted
        )

    @property
    def granted(self) -> timedelta:
        """The session timeout that the server granted; what was asked, before it has."""
        return timedelta(seconds=self._granted) if self._granted else self._asked

    # -- beginning and end ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, without waiting."""
        self._client.start_async()

    def open(self, timeout: timedelta) -> None:
        """Begin to connect and wait until the session is granted; CoordinatorUnavailable after `timeout`."""
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._granted is not None or self.over, timeout.total_seconds())
            if self._granted == 0.0:
                raise ConfigError(
                    "the installed kazoo differs from the one this was built for: install kazoo==2.11.0"
                )
            if self._granted is None or self.over:
                raise CoordinatorUnavailable(
                    f"no ZooKeeper server granted a session at {self._server} within"
                    f" {timeout.total_seconds():g} s; check that it runs and can be reached from here"
                )

    def end(self) -> None:
        """End the session at the server, or break the connection off where it does not answer in time."""
        with self._changed:
            first, self._ending = not self._ending, True
            self.over = True
            self._connected = False
            self._changed.notify_all()
        if not first:
            return
        closer = threading.Thread(target=self._stop, name="zookeeper-end", daemon=True)
        closer.start()
        closer.join(END_GRACE.total_seconds())
        if closer.is_alive():
            self._client.shut()
            closer.join(END_GRACE.total_seconds())

    def _stop(self) -> None:
        try:
            self._client.stop()
            self._client.close()
        except Exception:  # noqa: BLE001 - the last boundary of a client that is being thrown away
            log.debug("a ZooKeeper client did not stop cleanly", exc_info=True)

    # -- state (called on the connection thread) -----------------------------------------------------------

    def _on_granted(self, seconds: float) -> None:
        with self._changed:
            self._granted = seconds
            self._changed.notify_all()

    def _on_state(self, state: str) -> None:
        with self._changed:
            if self.over:
                return
            event = self._event_of(state)
            self._changed.notify_all()
        if event is not None:
            self._tell(event)

    def _event_of(self, state: str) -> CoordinatorEvent | None:
        self._connected = state == KazooState.CONNECTED
        if self._connected:
            found = self._client.client_id
            if self._was_connected and not self._renews and found[0] != self.id:
                self.over = True
                return CoordinatorEvent.LOST
            again, self._was_connected, self.id = self._was_connected, True, found[0]
            return CoordinatorEvent.RESUMED if again else None
        if state == KazooState.SUSPENDED:
            return CoordinatorEvent.SUSPENDED
        # A client whose own thread has ended renews nothing.
        ended = self._client.client_state in {KeeperState.CLOSED, KeeperState.AUTH_FAILED}
        self.over = ended or not self._renews
        return CoordinatorEvent.LOST

    def await_connection(self) -> bool:
        """Wait for the connection to be there again, as long as one answer may take."""
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self.over, self._patience())
            return self._connected

    # -- requests ------------------------------------------------------------------------------------------

    def get(self, path: str, watch: Callable[..., None] | None = None) -> tuple[bytes, Stat]:
        """Content and stat of a node, and `watch` armed on it; NodeGone leaves no watch behind."""
        data, stat = self._ask(lambda: self._client.get_async(path, watch))
        return data, Stat.of(stat)

    def exists(self, path: str, watch: Callable[..., None] | None = None) -> Stat | None:
        """Stat of a node or None; `watch` is armed in both cases."""
        found = self._ask(lambda: self._client.exists_async(path, watch))
        return Stat.of(found) if found else None

    def children(self, path: str, watch: Callable[..., None] | None = None) -> list[str]:
        """Names below a node, and `watch` armed on them."""
        names: list[str] = self._ask(lambda: self._client.get_children_async(path, watch))
        return names

    def grants(self, path: str) -> list[Grant]:
        """Who may do what with a node."""
        acls, _ = self._ask(lambda: self._client.get_acls_async(path))
        return [Grant(acl.id.scheme, acl.id.id, frozenset(acl.acl_list)) for acl in acls]

    def create(self, path: str, data: bytes = b"", *, ephemeral: bool = False, sequence: bool = False) -> str:
        """Make a node; its path, which ends in the sequence number if that was asked for."""
        made: tuple[str, object] = self._ask(
            lambda: self._client.create_async(
                path, data, ephemeral=ephemeral, sequence=sequence, include_data=True
            )
        )
        return made[0]

    def write(self, path: str, data: bytes) -> None:
        """Replace a node's content."""
        self._ask(lambda: self._client.set_async(path, data))

    def delete(self, path: str, version: int = -1) -> None:
        """Remove a node."""
        self._ask(lambda: self._client.delete_async(path, version))

    def ensure(self, paths: Iterable[str]) -> None:
        """Make the persistent nodes that are missing, in this order.

        Looks before it makes: to look needs no permission on a parent that belongs to somebody else.
        """
        for path in paths:
            if self.exists(path) is None:
                with contextlib.suppress(NodeExistsError):
                    self.create(path)

    def transaction(self) -> Any:  # noqa: ANN401
        """An empty kazoo transaction, for `commit`."""
        return self._client.transaction()

    def commit(self, transaction: Any) -> tuple[int, KazooException] | None:  # noqa: ANN401
        """None once all of it is committed; else which operation failed first (from 0), and why.

        kazoo does not raise for a refused transaction: it hands back one answer per operation, where
        those before the culprit say "rolled back" and those after it "inconsistent".
        """
        answers = self._ask(transaction.commit_async)
        if len(answers) != len(transaction.operations):
            raise CoordinatorUnavailable("ZooKeeper's answer to a transaction is incomplete; try again")
        for index, answer in enumerate(answers):
            innocent = isinstance(answer, RolledBackError | RuntimeInconsistency)
            if isinstance(answer, KazooException) and not innocent:
                if isinstance(answer, NoAuthError):
                    raise self._forbidden() from None
                return index, answer
        if any(isinstance(answer, KazooException) for answer in answers):
            raise CoordinatorUnavailable("ZooKeeper refused a transaction without saying why; try again")
        return None

    def glance(self, path: str, watch: Callable[..., None], tell: Callable[[bytes | None], None]) -> None:
        """Read a node and watch it without waiting, there or not; for callbacks.

        `tell` gets the content, None where there is no node, and nothing where the connection broke: then
        the watch is gone too, and the caller has to come again.
        """

        def found(answer: Any) -> None:  # noqa: ANN401
            if answer.successful() and answer.value is None:
                tell(None)
            elif answer.successful():
                self._client.get_async(path).rawlink(read)

        def read(answer: Any) -> None:  # noqa: ANN401
            if answer.successful():
                tell(answer.value[0])
            elif isinstance(answer.exception, NoNodeError):
                tell(None)

        self._client.exists_async(path, watch).rawlink(found)

    def _patience(self) -> float:
        share = self.granted.total_seconds() * REQUEST_SHARE
        return share if self.deadline is None else max(0.0, min(share, self.deadline - elapsed()))

    def _ask(self, send: Callable[[], Any]) -> Any:  # noqa: ANN401
        until = elapsed() + self._patience()
        if self._unanswered is not None and not self._unanswered.wait(max(0.0, until - elapsed())):
            raise CoordinatorUnavailable("ZooKeeper has not answered an earlier request yet; waiting for it")
        if self.over:
            raise CoordinatorUnavailable("this session with ZooKeeper is over; connect again")
        self.sent_at = elapsed()
        self._unanswered = sent = send()
        try:
            answer = sent.get(timeout=max(0.0, until - elapsed()))
        except KazooTimeoutError:
            raise CoordinatorUnavailable(f"ZooKeeper at {self._server} did not answer in time") from None
        except (NoNodeError, NodeExistsError):
            self._unanswered = None
            raise
        except NoAuthError:
            self._unanswered = None
            raise self._forbidden() from None
        except AuthFailedError:
            self._unanswered = None
            raise ConfigError("ZooKeeper refuses the coordinator URL's credentials; correct them") from None
        except KazooException as error:
            self._unanswered = None
            reason = type(error).__name__
            raise CoordinatorUnavailable(f"ZooKeeper at {self._server} broke off: {reason}") from None
        self._unanswered = None
        return answer

    def _forbidden(self) -> ConfigError:
        return ConfigError(
            f"ZooKeeper at {self._server} forbids access to our nodes: put the user:password that made them"
            " into the coordinator URL"
        )

    # -- the server's tick ---------------------------------------------------------------------------------

    def tick(self) -> timedelta:
        """The server's `tickTime`, by its four-letter word `conf`; 2 s where it does not tell.

        A server tells only where `4lw.commands.whitelist` has `conf`, and over TLS nobody is asked.
        """
        peer = None if self._server.tls else self._client.peer()
        if peer is None:
            return ASSUMED_TICK
        answer = b""
        try:
            with socket.create_connection(peer, timeout=TICK_WAIT) as plain:
                plain.sendall(b"conf")
                for _ in range(_MOST_CONF_READS):
                    part = plain.recv(8192)
                    answer += part
                    if not part or _TICK.search(answer):
                        break
        except OSError:
            return ASSUMED_TICK
        found = _TICK.search(answer)
        return timedelta(milliseconds=int(found[1])) if found else ASSUMED_TICK
