"""The second connection of a member: reads the published markers, and says how far its replica is.

It has a session and a thread of its own, so that neither a slow listener nor a burst of markers ever
stands in front of a heartbeat or of the watch on the predecessor. Nothing here decides who leads.

What is to be done is a *set* of items under one condition, so it is bounded by the number of shards:
a watch that fires, a reconnect, a new position each only mark items as due, and the thread reads the
newest state when it gets there. That is what makes "latest wins" hold: ZooKeeper's watches fire once and
tell that something changed, never what. A broken connection drops every watch without a word, so after
it everything known is due again.
"""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from typing import Any, Final, TypeAlias

from leaderjobs.coordination.base import CoordinatorEvent, ShardListener
from leaderjobs.coordination.paths import Paths, encode
from leaderjobs.coordination.zookeeper_client import is_disconnect
from leaderjobs.coordination.zookeeper_session import END_GRACE, NodeGone, Session
from leaderjobs.coordination.zookeeper_url import ZooKeeperUrl
from leaderjobs.errors import ConfigError, CoordinatorUnavailable
from leaderjobs.model.member import Member

RETRY_SECONDS: Final = 0.5
"""Before an item that could not be done is tried again."""

_Item: TypeAlias = tuple[str, int, str]
"""(kind, partition, shard name): kind is `ack`, `list` or `read`."""
_ACK: Final = ("ack", 0, "")


class SideConnection:
    """Keeps shard listeners told and the member node current, through reconnects and lost sessions.

    All methods may be called from any thread; none of them waits for ZooKeeper except `stop` (bounded).
    """

    def __init__(self, server: ZooKeeperUrl, timeout: timedelta, paths: Paths) -> None:
        """Connects at the first `watch` or `acknowledge`."""
        self._server = server
        self._timeout = timeout
        self._paths = paths
        self._due = threading.Condition()
        self._items: set[_Item] = set()
        self._listeners: dict[int, ShardListener] = {}
        self._known: set[_Item] = set()
        self._told: dict[_Item, tuple[int, int]] = {}
        self._member: Member | None = None
        self._connected = False
        self._thread: threading.Thread | None = None

    def watch(self, partition: int, listener: ShardListener) -> None:
        """Tell `listener` of every shard of `partition`, on this connection's thread."""
        with self._due:
            self._listeners[partition] = listener
            for item in [item for item in self._told if item[1] == partition]:
                del self._told[item]
            self._items |= {item for item in self._known if item[1] == partition}
            self._items.add(("list", partition, ""))
        self.start()

    def acknowledge(self, member: Member) -> None:
        """Write `member` into its node when the connection allows; a newer one replaces it."""
        with self._due:
            self._member = member
            self._items.add(_ACK)
        self.start()

    def start(self) -> None:
        """Run if there is anything to do or to watch; does nothing while running."""
        with self._due:
            self._due.notify_all()
            if self._thread is not None or not (self._listeners or self._items):
                return
            self._thread = threading.Thread(target=self._run, name="zookeeper-side", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the connection; what is watched stays known, and `start` takes it up again."""
        with self._due:
            thread, self._thread = self._thread, None
            self._due.notify_all()
        if thread is not None:
            thread.join(2 * END_GRACE.total_seconds() + 1)

    # -- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        me = threading.current_thread()
        while self._thread is me:
            session = Session(self._server, self._timeout, self._on_state, renews=True)
            try:
                session.start()
                self._serve(session, me)
            finally:
                session.end()
            with self._due:
                self._due.wait_for(lambda: self._thread is not me, RETRY_SECONDS)

    def _serve(self, session: Session, me: threading.Thread) -> None:
        while not session.await_connection():
            if self._thread is not me or session.over:
                return
        self._all_is_due()
        while (item := self._next(session, me)) is not None:
            try:
                self._do(session, item)
            except (CoordinatorUnavailable, ConfigError, NodeGone):
                with self._due:
                    self._items.add(item)
                    self._due.wait_for(lambda: self._thread is not me, RETRY_SECONDS)

    def _all_is_due(self) -> None:
        with self._due:
            self._connected = True
            self._items |= self._known | {("list", partition, "") for partition in self._listeners}
            self._due.notify_all()

    def _next(self, session: Session, me: threading.Thread) -> _Item | None:
        def ready() -> bool:
            return self._thread is not me or session.over or (self._connected and bool(self._items))

        with self._due:
            self._due.wait_for(ready)
            return None if self._thread is not me or session.over else self._items.pop()

    def _do(self, session: Session, item: _Item) -> None:
        kind, partition, _ = item
        if kind == "list":
            self._list(session, partition)
        elif kind == "read":
            self._read(session, item)
        else:
            self._write_member(session)

    def _list(self, session: Session, partition: int) -> None:
        parent = self._paths.shards(partition)
        try:
            names = session.children(parent, self._on_event)
        except NodeGone:
            # Nobody has made it yet, or the data was wiped: there must be something to hang a watch on.
            session.ensure((*self._paths.parents(), *self._paths.parents_of(partition)))
            names = session.children(parent, self._on_event)
        with self._due:
            found: set[_Item] = {("read", partition, name) for name in names}
            self._items |= found - self._known
            self._known |= found

    def _read(self, session: Session, item: _Item) -> None:
        _, partition, name = item
        try:
            data, stat = session.get(self._paths.shard(partition, name), self._on_event)
        except NodeGone:
            with self._due:
                self._known.discard(item)
                self._told.pop(item, None)
            return
        with self._due:
            fresh = self._told.get(item) != (stat.stamp, stat.changed)
            self._told[item] = (stat.stamp, stat.changed)
            listener = self._listeners.get(partition)
        if fresh and data and listener is not None:
            listener(name, data)

    def _write_member(self, session: Session) -> None:
        with self._due:
            member = self._member
        if member is not None:
            # A node that is gone is made again by `join`, with the newest position in it.
            with contextlib.suppress(NodeGone):
                session.write(self._paths.member(member.guid), encode(member))

    # -- callbacks -----------------------------------------------------------------------------------------

    def _on_state(self, event: CoordinatorEvent) -> None:
        if event is CoordinatorEvent.RESUMED:
            self._all_is_due()
        else:
            with self._due:
                self._connected = False

    def _on_event(self, event: Any) -> None:  # noqa: ANN401 - kazoo has no types
        if is_disconnect(event):
            return
        with self._due:
            for partition in self._listeners:
                parent = self._paths.shards(partition)
                if event.path == parent:
                    self._items.add(("list", partition, ""))
                elif event.path.startswith(parent + "/"):
                    self._items.add(("read", partition, event.path[len(parent) + 1 :]))
            self._due.notify_all()
