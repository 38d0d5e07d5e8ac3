"""Any API that speaks HTTP: its operations are declared in the configuration, or written in Python."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from leaderjobs.connectors.base import Connector, Operation, ReadContext
from leaderjobs.connectors.credentials import header_words
from leaderjobs.connectors.documents import text
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.rest_operation import RestOperation
from leaderjobs.connectors.rest_settings import RestOperationSettings, RestSettings
from leaderjobs.errors import ConfigError, ConnectorError, FatalError, RateLimited, TransientError
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
    streams: ClassVar[tuple[Stream, ...]] = ()

    def __init__(
        self, connection: str, options: RestSettings, declared: Mapping[str, RestOperationSettings]
    ) -> None:
        """`declared` are the connection's operations by name; ConfigError for Python that cannot be had."""
        from leaderjobs.connectors.http import HttpClient

        self.connection = connection
        self._options = options
        self._operations: dict[str, Operation] = {
            name: RestOperation(name, each, options.timeout)
            if each.python is None
            else _of_the_user(connection, name, each.python, each.timeout)
            for name, each in declared.items()
        }
        self._http = HttpClient(options.base_url, timeout=options.timeout)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Those of `[operations.CONNECTION.…]`."""
        return self._operations

    def read(self, stream: str, cursor: Cursor | None, context: ReadContext) -> Iterator[Batch]:
        """There is nothing to read yet."""
        del cursor, context
        raise FatalError(f"rest has no stream {stream!r}; it has none")

    def check(self) -> None:
        """GET `check_path`; FatalError where none is configured: nothing else proves the credentials."""
        path = self._options.check_path
        if path is None:
            raise FatalError(
                f"connection {self.connection} cannot be checked; set check_path to a path that needs "
                "the credentials"
            )
        try:
            answer = self.exchange(Request("GET", path), timeout=self._options.timeout, guard=_nothing)
        except ConfigError as error:
            raise FatalError(str(error)) from None
        if not 200 <= answer.status < 300:
            raise _failure(path, answer)

    def close(self) -> None:
        """Cut off what is out; safe to call twice."""
        self._http.close()

    def exchange(self, request: Request, *, timeout: timedelta, guard: Callable[[], None]) -> Answer:
        """As the contract says; ConfigError, and nothing was sent, when a secret cannot be had."""
        own = {name: header_words(secret, name) for name, secret in self._options.headers.items()}
        return self._http.exchange(
            request.method,
            request.path,
            request.body,
            {**request.headers, **own},
            timeout=timeout,
            guard=guard,
        )


def _nothing() -> None:
    """A read needs no leave: a cut ends it."""


def _failure(path: str, answer: Answer) -> ConnectorError:
    message, code = f"{path} answered {answer.status}", f"http_{answer.status}"
    if answer.status == 429:
        return RateLimited(message, code=code, retry_after=answer.retry_after)
    if answer.status >= 500:
        return TransientError(message, code=code, retry_after=answer.retry_after)
    return FatalError(f"{message}; check base_url, headers and check_path", code=code)


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
