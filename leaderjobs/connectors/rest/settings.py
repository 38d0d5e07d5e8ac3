"""What `connector = "rest"` and its operations take in the configuration; its streams have their own module.

An operation says what is sent, what an answer means, and what may be relied on at the provider:

- `replay_window`: for so long after the first send the same key gives the same answer, and no second effect.
  The key goes into `idempotency_header`, or where `{idempotency_key}` stands in the path or the body.
- `look_up`: how to see whether it has happened, without acting.
- `absent_after`: so long after a send, what the look-up does not show has not happened and never will.

With none of these a send without an answer is uncertain at once: only a person can tell what became of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec

from leaderjobs.connectors.rest.auth_settings import RestAuth, check_beside
from leaderjobs.connectors.rest.stream_settings import RestStreamSettings, check_streams
from leaderjobs.connectors.rest.words import (
    DOTTED,
    NAME,
    OURS,
    PATH,
    PATH_ALLOWED,
    TOKEN,
    check_filled,
    check_headers,
    field_default,
)
from leaderjobs.connectors.templates import Template, names_in
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.values import Duration, Rate, Secret

MOST_PAGES = 10_000_000
MOST_TIMEOUT = timedelta(seconds=80)
MOST_WINDOW = timedelta(days=90)
LEAST_ABSENCE = timedelta(seconds=1)
KEY = "idempotency_key"
"""Stands for the effect's key wherever a text is filled in but in its business key."""
KINDS = ("text", "integer", "decimal", "boolean")
States = dict[str, list[str]]
"""Values of an answer's members, by dotted path; every path must have one of its values."""

_PYTHON = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_SCHEMA = re.compile(r"(?!pg_)[a-z][a-z0-9_]{0,62}")
_OWN_SCHEMAS = frozenset({"information_schema", "leaderjobs", "public"})


class RestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME]` takes beside `connector = "rest"`."""

    base_url: str
    headers: dict[str, Secret] = {}
    """Of every request, such as Authorization."""
    auth: RestAuth | None = None
    check_path: str | None = None
    """Asked for with GET to prove the credentials; left out, the first page of a stream does."""
    timeout: Duration = Duration(seconds=8)
    """Of one request, from the connect to the last byte."""
    schema: str | None = None
    """Where the tables of the streams are; left out, the connection's name."""
    rate_limit: Rate = Rate(10, timedelta(seconds=1))
    """Of the requests of all streams together."""
    most_pages: int = 100_000
    """Of one listing; one that goes on after that is taken for endless."""
    streams: dict[str, RestStreamSettings] = {}

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        check_base_url(self.base_url)
        check_headers(self.headers)
        if self.auth is not None:
            check_beside(self.auth, self.headers)
        if self.check_path is not None and (
            PATH.fullmatch(self.check_path) is None or "{" in self.check_path
        ):
            raise ValueError('check_path: allowed: a path from base_url on, such as "/me"')
        _check_timeout(self.timeout)
        if self.schema is not None and (
            _SCHEMA.fullmatch(self.schema) is None or self.schema in _OWN_SCHEMAS
        ):
            raise ValueError(
                "schema: allowed: up to 63 small letters, digits and underscores, but not pg_…, "
                + ", ".join(sorted(_OWN_SCHEMAS))
            )
        if not 1 <= self.most_pages <= MOST_PAGES:
            raise ValueError(f"most_pages: allowed: 1 to {MOST_PAGES}")
        check_streams(self.streams)


class RestLookUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `look_up` of an operation: a GET that shows the effect, or the thing that it changes."""

    path: str
    parameters: dict[str, str] = {}
    """Of the query."""
    records: str = ""
    """Where in the answer the list of records is, or the one record; empty: the answer itself."""
    match: dict[str, str] = {}
    """What a record must have to be the effect; a provider that does not know a parameter shows all."""
    absent: tuple[int, ...] = ()
    """Statuses that say that there is none, such as 404."""
    id: str = ""
    """Where in a record its id is."""
    done: States = {}
    """Left out, a record that is neither of the others is the effect, done."""
    pending: States = {}
    declined: States = {}
    """No send can act any more."""
    open: States = {}
    """It is there, and nothing has happened to it yet."""


class RestOperationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[operations.CONNECTION.NAME]` takes; texts may hold arguments in braces."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: str = ""
    arguments: dict[str, str] = {}
    """Each with its kind; all of them must be given."""
    business_key: str = ""
    """What must happen once, such as `order:{order}:create`."""
    body: dict[str, Any] | None = None
    """A text that is one argument alone becomes its value, with its type."""
    form: bool = False
    """The body as form fields instead of JSON."""
    idempotency_header: str | None = None
    replayed_header: str = "Idempotent-Replayed"
    """Is `true` where the provider repeats a stored answer."""
    replay_window: Duration | None = None
    absent_after: Duration | None = None
    look_up: RestLookUp | None = None
    success: tuple[int, ...] = ()
    """Statuses that mean that it is done; left out: all of 2xx."""
    accepted: tuple[int, ...] = ()
    """Statuses that mean that the provider decides later, such as 202."""
    retryable: tuple[int, ...] = ()
    """Statuses, besides 429, that the provider gives only before it has begun to act."""
    conflict: Literal["mismatch", "refused"] = "mismatch"
    """409: the target is not as it must be, or the request came too early."""
    id: str = ""
    """Where in the answer the effect's id is."""
    error_code: str = ""
    """Where in an answer that refuses the provider's own word is."""
    done: States = {}
    """Left out, an answer that is neither of the others means done."""
    pending: States = {}
    declined: States = {}
    timeout: Duration | None = None
    """Of one send; left out: the connection's."""
    python: str | None = None
    """`module:Class` instead of all the others but `timeout`: an `Operation` of your own."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        if self.timeout is not None:
            _check_timeout(self.timeout)
        if self.python is not None:
            self._check_python(self.python)
            return
        self._check_names()
        self._check_texts()
        self._check_statuses()
        self._check_rules()
        if self.look_up is not None:
            _check_look_up(self.look_up, self.known)

    @property
    def known(self) -> frozenset[str]:
        """What may stand in braces."""
        return frozenset({*self.arguments, KEY})

    def _check_python(self, python: str) -> None:
        others = [
            field.name
            for field in msgspec.structs.fields(self)
            if field.name not in {"python", "timeout"} and getattr(self, field.name) != field_default(field)
        ]
        if _PYTHON.fullmatch(python) is None or others:
            raise ValueError('python: allowed: "module:Class", and beside it nothing but timeout')

    def _check_names(self) -> None:
        for name, kind in self.arguments.items():
            if kind not in KINDS:
                raise ValueError(f"arguments: allowed: as values: {', '.join(KINDS)}")
            if NAME.fullmatch(name) is None or name == KEY:
                raise ValueError(
                    f"arguments: allowed: names of small letters, digits and underscores, but not {KEY}"
                )
        for key, path in (("id", self.id), ("error_code", self.error_code)):
            if path and DOTTED.fullmatch(path) is None:
                raise ValueError(f'{key}: allowed: a dotted path into the answer, such as "data.id"')
        for key, states in (("done", self.done), ("pending", self.pending), ("declined", self.declined)):
            _check_states(key, states)

    def _check_texts(self) -> None:
        if PATH.fullmatch(self.path) is None:
            raise ValueError(f"path: allowed: {PATH_ALLOWED}")
        check_filled("path", self.path, self.known)
        named = check_filled("business_key", self.business_key, self.arguments)
        if not named:
            raise ValueError("business_key: allowed: a text with at least one argument in braces")
        if self.body is not None:
            check_filled("body", self.body, self.known)
        elif self.form:
            raise ValueError("form: allowed: only with body")

    def _check_statuses(self) -> None:
        for key, statuses in (("success", self.success), ("accepted", self.accepted)):
            if any(not 200 <= status < 300 for status in statuses):
                raise ValueError(f"{key}: allowed: statuses from 200 to 299")
        if any(not 400 <= status < 600 or status in {401, 403} for status in self.retryable):
            raise ValueError("retryable: allowed: statuses from 400 to 599, but not 401 and 403")
        if self.accepted and self.look_up is None:
            raise ValueError("accepted: allowed: only with look_up, which tells what has become of it")

    def _check_rules(self) -> None:
        for key, header in (
            ("idempotency_header", self.idempotency_header),
            ("replayed_header", self.replayed_header),
        ):
            if header is not None and (TOKEN.fullmatch(header) is None or header.lower() in OURS):
                raise ValueError(f'{key}: allowed: the name of a header, such as "Idempotency-Key"')
        carried = KEY in Template(self.path).names or KEY in names_in(self.body)
        if self.replay_window is not None:
            if self.idempotency_header is None and not carried:
                raise ValueError(
                    f"replay_window: allowed: only with idempotency_header, or {{{KEY}}} in path or body"
                )
            if not timedelta(0) < self.replay_window <= MOST_WINDOW:
                raise ValueError('replay_window: allowed: more than "0s", up to "90d"')
        if self.absent_after is not None and self.look_up is None:
            raise ValueError("absent_after: allowed: only with look_up")
        if self.absent_after is not None and self.absent_after < LEAST_ABSENCE:
            raise ValueError('absent_after: allowed: at least "1s", and rather minutes')


def _check_timeout(timeout: timedelta) -> None:
    if not timedelta(0) < timeout <= MOST_TIMEOUT:
        raise ValueError('timeout: allowed: more than "0s", up to "80s"')


def _check_states(key: str, states: Mapping[str, list[str]]) -> None:
    if not all(DOTTED.fullmatch(path) and values for path, values in states.items()):
        raise ValueError(f'{key}: allowed: members and their values, such as {{ status = ["created"] }}')


def _check_look_up(look_up: RestLookUp, known: Collection[str]) -> None:
    if PATH.fullmatch(look_up.path) is None:
        raise ValueError(f"look_up: allowed: as its path: {PATH_ALLOWED}")
    named = check_filled("look_up", look_up.path, known)
    asked = check_filled("look_up", dict(look_up.parameters), known)
    check_filled("look_up", dict(look_up.match), known)
    if not named and not (asked and look_up.match):
        raise ValueError(
            "look_up: allowed: an argument in its path, or in its parameters with match to prove the records"
        )
    paths = [path for path in (look_up.records, look_up.id, *look_up.match) if path]
    if not all(DOTTED.fullmatch(path) for path in paths):
        raise ValueError('look_up: allowed: as records, id and in match: dotted paths, such as "data.items"')
    if any(not 400 <= status < 500 or status in {401, 403, 429} for status in look_up.absent):
        raise ValueError("look_up: allowed: as absent: statuses from 400 to 499, but not 401, 403 and 429")
    states = (look_up.done, look_up.pending, look_up.declined, look_up.open)
    for each in states:
        _check_states("look_up", each)
    if look_up.open and not look_up.done:
        raise ValueError("look_up: allowed: open only with done, or what is open would be done")
