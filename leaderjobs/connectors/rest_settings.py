"""What `connector = "rest"` and its operations take in the configuration.

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

from leaderjobs.connectors.templates import Template, names_in
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.values import Duration, Secret

MOST_TIMEOUT = timedelta(seconds=80)
MOST_WINDOW = timedelta(days=90)
LEAST_ABSENCE = timedelta(seconds=1)
KEY = "idempotency_key"
"""Stands for the effect's key wherever a text is filled in but in its business key."""
KINDS = ("text", "integer", "decimal", "boolean")
States = dict[str, list[str]]
"""Values of an answer's members, by dotted path; every path must have one of its values."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/{}?-]*")
_DOTTED = re.compile(r"[^.\s]+(\.[^.\s]+)*")
_PYTHON = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "expect", "host", "transfer-encoding"}
)
_PATH_ALLOWED = 'a path from base_url on, such as "/orders/{order}"'


class RestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME]` takes beside `connector = "rest"`."""

    base_url: str
    headers: dict[str, Secret] = {}
    """Of every request, such as Authorization."""
    check_path: str | None = None
    """Asked for with GET to prove the credentials."""
    timeout: Duration = Duration(seconds=8)
    """Of one request, from the connect to the last byte."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        check_base_url(self.base_url)
        for name in self.headers:
            if _TOKEN.fullmatch(name) is None or name.lower() in _OURS:
                raise ValueError(
                    "headers: allowed: names of headers, such as Authorization, but not: "
                    + ", ".join(sorted(_OURS))
                )
        if self.check_path is not None and (
            _PATH.fullmatch(self.check_path) is None or "{" in self.check_path
        ):
            raise ValueError('check_path: allowed: a path from base_url on, such as "/me"')
        _check_timeout(self.timeout)


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
            if _NAME.fullmatch(name) is None or name == KEY:
                raise ValueError(
                    f"arguments: allowed: names of small letters, digits and underscores, but not {KEY}"
                )
        for key, path in (("id", self.id), ("error_code", self.error_code)):
            if path and _DOTTED.fullmatch(path) is None:
                raise ValueError(f'{key}: allowed: a dotted path into the answer, such as "data.id"')
        for key, states in (("done", self.done), ("pending", self.pending), ("declined", self.declined)):
            _check_states(key, states)

    def _check_texts(self) -> None:
        if _PATH.fullmatch(self.path) is None:
            raise ValueError(f"path: allowed: {_PATH_ALLOWED}")
        _check_filled("path", self.path, self.known)
        named = _check_filled("business_key", self.business_key, self.arguments)
        if not named:
            raise ValueError("business_key: allowed: a text with at least one argument in braces")
        if self.body is not None:
            _check_filled("body", self.body, self.known)
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
            if header is not None and (_TOKEN.fullmatch(header) is None or header.lower() in _OURS):
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


def field_default(field: msgspec.structs.FieldInfo) -> object:
    """What a field is when it is left out."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _check_timeout(timeout: timedelta) -> None:
    if not timedelta(0) < timeout <= MOST_TIMEOUT:
        raise ValueError('timeout: allowed: more than "0s", up to "80s"')


def _check_filled(key: str, document: object, known: Collection[str]) -> frozenset[str]:
    """The names in it, if all are known."""
    try:
        names = names_in(document)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if not names <= set(known):
        raise ValueError(f"{key}: allowed: in braces: {', '.join(sorted(known)) or 'nothing'}")
    return names


def _check_states(key: str, states: Mapping[str, list[str]]) -> None:
    if not all(_DOTTED.fullmatch(path) and values for path, values in states.items()):
        raise ValueError(f'{key}: allowed: members and their values, such as {{ status = ["created"] }}')


def _check_look_up(look_up: RestLookUp, known: Collection[str]) -> None:
    if _PATH.fullmatch(look_up.path) is None:
        raise ValueError(f"look_up: allowed: as its path: {_PATH_ALLOWED}")
    named = _check_filled("look_up", look_up.path, known)
    asked = _check_filled("look_up", dict(look_up.parameters), known)
    _check_filled("look_up", dict(look_up.match), known)
    if not named and not (asked and look_up.match):
        raise ValueError(
            "look_up: allowed: an argument in its path, or in its parameters with match to prove the records"
        )
    paths = [path for path in (look_up.records, look_up.id, *look_up.match) if path]
    if not all(_DOTTED.fullmatch(path) for path in paths):
        raise ValueError('look_up: allowed: as records, id and in match: dotted paths, such as "data.items"')
    if any(not 400 <= status < 500 or status in {401, 403, 429} for status in look_up.absent):
        raise ValueError("look_up: allowed: as absent: statuses from 400 to 499, but not 401, 403 and 429")
    states = (look_up.done, look_up.pending, look_up.declined, look_up.open)
    for each in states:
        _check_states("look_up", each)
    if look_up.open and not look_up.done:
        raise ValueError("look_up: allowed: open only with done, or what is open would be done")
