"""Any API that speaks HTTP: its streams and operations are declared in the configuration.

An operation may be written in Python instead.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlencode

import msgspec

from leaderjobs.connectors.base import Connector, Operation, ReadContext
from leaderjobs.connectors.documents import text
from leaderjobs.connectors.outcome import NOT_SENT, Answer
from leaderjobs.connectors.pacing import Paces
from leaderjobs.connectors.rest.auth import Credentials
from leaderjobs.connectors.rest.client import RestClient
from leaderjobs.connectors.rest.operation import RestOperation
from leaderjobs.connectors.rest.settings import RestOperationSettings, RestSettings
from leaderjobs.connectors.rest.streams import StreamReader, described, first_request
from leaderjobs.errors import ConfigError, FatalError, TransientError
from leaderjobs.model.batch import Batch
from leaderjobs.model.effect import Request
from leaderjobs.model.marker import Cursor
from leaderjobs.model.settle import Rules
from leaderjobs.model.stream import Stream

if TYPE_CHECKING:
    from datetime import timedelta


class RestConnector(Connector):
    """One account at one API; the secrets of its headers are read anew for every request."""

    name: ClassVar[str] = "rest"
    settings: ClassVar[type[msgspec.Struct]] = RestSettings
    streams: tuple[Stream, ...] = ()

    def __init__(
        self,
        connection: str,
        options: RestSettings,
        paces: Paces,
        declared: Mapping[str, RestOperationSettings] | None = None,
    ) -> None:
        """`declared` are the connection's operations by name; ConfigError for Python that cannot be had."""
        from leaderjobs.connectors.http import HttpClient

        self.connection = connection
        self._options = options
        self._operations: dict[str, Operation] = {
            name: RestOperation(name, each, options.timeout)
            if each.python is None
            else _of_the_user(connection, name, each.python, each.timeout)
            for name, each in (declared or {}).items()
        }
        self._http = HttpClient(options.base_url, timeout=options.timeout)
        self._credentials = Credentials(options.headers, options.auth, options.timeout)
        self._client = RestClient(connection, options, paces, self._credentials)
        self.streams = self.streams_of(connection, options)

    @classmethod
    def streams_of(cls, connection: str, options: RestSettings) -> tuple[Stream, ...]:
        """Those of `[connections.NAME.streams.…]`."""
        del connection
        return tuple(described(name, each) for name, each in options.streams.items())

    @classmethod
    def schema_of(cls, connection: str, options: RestSettings) -> str:
        """`schema`, or the connection's name."""
        return options.schema or connection

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Those of `[operations.CONNECTION.…]`."""
        return self._operations

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """As the contract says; `streams` tells how."""
        streams = self._options.streams
        if stream not in streams:
            raise FatalError(f"rest has no stream {stream!r}; it has {', '.join(streams) or 'none'}")
        return StreamReader(stream, streams, self._client, self._options.most_pages, context).read(cursor)

    def check(self) -> None:
        """GET `check_path`, else the first page of a stream; FatalError where there is neither."""
        path = self._options.check_path
        if path is not None:
            self._client.probe(path)
            return
        asked = first_request(self._options.streams, self._client)
        if asked is None:
            raise FatalError(
                f"connection {self.connection} cannot be checked; set check_path to a path that needs "
                "the credentials"
            )
        self._client.send(asked)

    def close(self) -> None:
        """Cut off what is out; safe to call twice."""
        self._http.close()
        self._client.close()
        self._credentials.close()

    def exchange(self, request: Request, *, timeout: timedelta, guard: Callable[[], None]) -> Answer:
        """As the contract says; ConfigError, and nothing was sent, when a secret or token cannot be had."""
        try:
            own, query = self._credentials.headers(), self._credentials.query()
        except TransientError as error:
            raise TransientError(str(error), code=NOT_SENT, retry_after=error.retry_after) from None
        except FatalError as error:
            raise ConfigError(str(error)) from None
        path = request.path
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query)
        answer = self._http.exchange(
            request.method, path, request.body, {**request.headers, **own}, timeout=timeout, guard=guard
        )
        if answer.status == 401:
            self._credentials.refused()
        return answer


def _of_the_user(connection: str, name: str, python: str, timeout: timedelta | None) -> Operation:
    """An instance of the class that `module:Class` names, under its declared name."""
    where = f"operations.{connection}.{name}: python = {python}"
    module, _, attribute = python.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
        made = kind() if isinstance(kind, type) and issubclass(kind, Operation) else None
    except Exception as error:  # noqa: BLE001 - the user's own code may raise anything
        raise ConfigError(f"{where}: {type(error).__name__}: {text(str(error))}") from None
    if made is None:
        raise ConfigError(f"{where}: it is no subclass of leaderjobs.connectors.base.Operation")
    if not isinstance(getattr(made, "rules", None), Rules):
        raise ConfigError(f"{where}: its rules are no leaderjobs.model.settle.Rules")
    made.name = name
    made.timeout = timeout or made.timeout
    return made
