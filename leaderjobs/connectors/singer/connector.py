"""Any Singer tap, run as a child process from its own environment.

One stream of ours is one run of the tap in which only that stream is selected, with a STATE of its own in its
own marker. A STATE is about all streams of a run at once, so a run of several could commit the rows of one
together with its STATE, and the others' rows would have to be waited for or come again; and one stream could
not be pulled, reset or fail by itself. The price: a tap is started once for every stream, a child stream asks
for its parents again, and a tap that finds all its streams in one place (a log of changes) reads it once for
each of them.

`process` runs the tap, `messages` reads its lines, `pages` makes batches of them,
`shape` makes columns of a SCHEMA, `catalog` selects, `settings` is the configuration.

A tap says how it went with its exit code alone: 0 is done, anything else may be wrong credentials, a broken
network or a bug. All of it is a TransientError with the last line of its standard error; whoever reads it
knows more. Lines that it wrote before are committed as far as batches were made of them.

- A record without a key gets one: `_leaderjobs_id`, a digest of what it says, is put before its members.
- `_sdc_deleted_at` in a record deletes the row. FULL_TABLE and ACTIVATE_VERSION delete what was not met.
- A tap that writes new tokens into its configuration file loses them: the file goes when the tap has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar

import msgspec

from leaderjobs import clock
from leaderjobs.connectors.base import Connector, ReadContext
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.singer.catalog import (
    FULL_TABLE,
    MOST_CATALOG_BYTES,
    check_streams,
    checked,
    choose,
    from_file,
)
from leaderjobs.connectors.singer.messages import OWN_KEY
from leaderjobs.connectors.singer.pages import Pages, Place
from leaderjobs.connectors.singer.process import Tap, Watcher
from leaderjobs.connectors.singer.settings import Configuration, SingerSelection, SingerSettings
from leaderjobs.errors import FatalError, Interrupted
from leaderjobs.model.batch import Batch
from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import CursorKind, Stream

CATALOG_AGE = timedelta(hours=1)
"""For so long what a tap has discovered is taken for true; a new field of a source is seen after it."""
_KINDS = {FULL_TABLE: CursorKind.FULL, "LOG_BASED": CursorKind.CHANGES}


class Catalogs:
    """What taps have discovered, one catalog for each connection of the process. Any thread."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._lock = threading.Lock()
        self._known: dict[str, tuple[SingerSettings, float, bytes]] = {}

    def get(self, connection: str, options: SingerSettings) -> bytes | None:
        """None where nothing is known of a connection with these settings, or only what is old."""
        with self._lock:
            found = self._known.get(connection)
        if found is None or found[0] != options or clock.elapsed() - found[1] > CATALOG_AGE.total_seconds():
            return None
        return found[2]

    def put(self, connection: str, options: SingerSettings, body: bytes) -> None:
        """In the place of what was known of the connection."""
        with self._lock:
            self._known[connection] = (options, clock.elapsed(), body)


CATALOGS = Catalogs()


class SingerConnector(Connector):
    """One tap with one configuration; its secrets are read anew for every run."""

    name: ClassVar[str] = "singer"
    settings: ClassVar[type[msgspec.Struct]] = SingerSettings

    def __init__(self, connection: str, options: SingerSettings, paces: Paces) -> None:
        """Nothing runs yet; a tap keeps to its provider's limits by itself, so it needs no pace."""
        del paces
        self.connection = connection
        self.streams = self.streams_of(connection, options)
        self._options = options
        self._lock = threading.Lock()
        self._running: set[Tap] = set()
        self._closed = False

    @classmethod
    def streams_of(cls, connection: str, options: SingerSettings) -> tuple[Stream, ...]:
        """Those that the settings name; their keys and columns are the tap's to say, when it runs."""
        del connection
        chosen = {name: options.select.get(name, SingerSelection()) for name in options.streams}
        return tuple(
            Stream(
                name=name,
                key=selection.key or (OWN_KEY,),
                comment=f"{name} as {options.tap}, a Singer tap, gives it",
                cursor=_KINDS.get(selection.replication_method or "", CursorKind.NEWER),
                cost="One run of the tap, from its own STATE on; what it then asks its source for is its own",
            )
            for name, selection in chosen.items()
        )

    @classmethod
    def schema_of(cls, connection: str, options: SingerSettings) -> str:
        """The connection's name, unless the settings say another."""
        return options.schema or connection

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """As the contract says; the tap runs while batches are asked for, and waits while they are not."""
        for known in self.streams:
            if known.name == stream:
                return self._read(known, Place.parse(cursor), context)
        names = ", ".join(known.name for known in self.streams)
        raise FatalError(f"connection {self.connection} has no stream {stream!r}; it has {names}")

    def check(self) -> None:
        """`--discover`, and that the streams exist; a tap that knows its streams by heart proves no more."""
        check_streams(self._discover(Configuration(self._options), _Nobody()), self._options)

    def close(self) -> None:
        """As the contract says: a tap that runs is ended, and a read that waits for it with Interrupted."""
        with self._lock:
            self._closed = True
            for tap in self._running:
                tap.cut()

    def _read(self, stream: Stream, place: Place, context: ReadContext) -> Iterator[Batch]:
        context.check()
        options = self._options
        configuration = Configuration(options)
        chosen = choose(self._catalog(configuration, context), stream.name, options)
        files = {"--catalog": chosen.body}
        if place.has_state:
            files["--state"] = place.state
        pages = Pages(
            stream,
            chosen.names,
            place,
            full=chosen.method == FULL_TABLE,
            selection=options.select.get(stream.name, SingerSelection()),
            page_size=options.page_size,
        )
        tap = Tap(options.words, files, configuration, silence=options.timeout)
        with self._run(tap):
            for number, line in enumerate(tap.lines(context), start=1):
                for batch in pages.feed(line, number):
                    yield batch
                    context.check()
        for batch in pages.finish():
            yield batch
            context.check()

    def _catalog(self, configuration: Configuration, context: ReadContext) -> bytes:
        options = self._options
        if options.catalog is not None:
            return from_file(options.catalog)
        known = CATALOGS.get(self.connection, options)
        if known is None:
            known = self._discover(configuration, context)
            CATALOGS.put(self.connection, options, known)
        return known

    def _discover(self, configuration: Configuration, watcher: Watcher) -> bytes:
        options = self._options
        tap = Tap(
            (*options.words, "--discover"),
            {},
            configuration,
            silence=options.timeout,
            longest=options.timeout,
            most_line=MOST_CATALOG_BYTES,
        )
        body = bytearray()
        with self._run(tap):
            for line in tap.lines(watcher):
                body += line + b"\n"
                if len(body) > MOST_CATALOG_BYTES:
                    break
        return checked(bytes(body), f"what {options.tap} --discover says")

    @contextmanager
    def _run(self, tap: Tap) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise Interrupted(f"connection {self.connection} was closed")
            tap.start()
            self._running.add(tap)
        try:
            yield
        finally:
            tap.leave()
            with self._lock:
                self._running.discard(tap)


class _Nobody:
    """Watches a tap that nobody may stop and whose words nobody keeps."""

    def check(self) -> None:
        """Go on."""

    def log(self, line: str) -> None:
        """Forget it."""
