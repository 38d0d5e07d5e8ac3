"""An operation as the configuration declares it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlencode

import msgspec

from leaderjobs.connectors import arguments as read
from leaderjobs.connectors import forms
from leaderjobs.connectors.base import Arguments, Ask, Operation
from leaderjobs.connectors.documents import NOT_JSON, at, parsed, scalar
from leaderjobs.connectors.outcome import Answer
from leaderjobs.connectors.rest.settings import KEY, RestLookUp, RestOperationSettings
from leaderjobs.connectors.templates import Template, Value, filled, written
from leaderjobs.errors import UsageError
from leaderjobs.model.effect import MOST_BUSINESS_KEY_CHARS, Effect, Request, Told, Verdict
from leaderjobs.model.settle import Rules

_JSON = msgspec.json.Encoder(decimal_format="number")
_READERS: Mapping[str, read.Reader] = {
    "text": read.text,
    "integer": read.integer,
    "decimal": read.decimal,
    "boolean": read.boolean,
}
_TELLING = (Told.DONE, Told.PENDING, Told.OPEN, Told.DECLINED)
States = Mapping[Told, Mapping[str, list[str]]]


class RestOperation(Operation):
    """Sends and reads what the declaration says."""

    def __init__(self, name: str, declared: RestOperationSettings, timeout: timedelta) -> None:
        """`timeout` is the connection's, where the operation has none of its own."""
        self.name = name
        self.timeout = declared.timeout or timeout
        self.rules = Rules(declared.replay_window, declared.look_up is not None, declared.absent_after)
        self._declared = declared
        self._states: States = {
            Told.DECLINED: declared.declined,
            Told.PENDING: declared.pending,
            Told.DONE: declared.done,
        }

    def parse(self, given: Arguments) -> Arguments:
        """All of the declared arguments, and no others."""
        kinds = self._declared.arguments
        readers = {name: _READERS[kind] for name, kind in kinds.items()}
        return read.read(self.name, given, readers, list(kinds))

    def business_key(self, arguments: Arguments) -> str:
        """The declared text, filled in."""
        key = Template(self._declared.business_key).text(self._values(arguments, ""))
        if len(key) > MOST_BUSINESS_KEY_CHARS or not key.isprintable():
            raise UsageError(
                f"{self.name}: the business key {key[:40]!r}… is too long or holds control characters; "
                f"allowed: {MOST_BUSINESS_KEY_CHARS} printable characters"
            )
        return key

    def build(self, arguments: Arguments, idempotency_key: str) -> Request:
        """The declared path and body, filled in."""
        declared = self._declared
        values = self._values(arguments, idempotency_key)
        headers = {"Accept": "application/json"}
        body = b""
        if declared.body is not None:
            fields = filled(declared.body, values)
            body = (
                forms.encoded(fields) if declared.form and isinstance(fields, dict) else _JSON.encode(fields)
            )
            headers["Content-Type"] = forms.CONTENT_TYPE if declared.form else "application/json"
        if declared.idempotency_header is not None:
            headers[declared.idempotency_header] = idempotency_key
        return Request(declared.method, _path(self.name, declared.path, values), body, headers)

    def classify(self, answer: Answer) -> Verdict:
        """By the status, and where it is a success by the declared members of the answer."""
        declared, status = self._declared, answer.status
        if status in declared.accepted:
            return self._verdict(answer, Told.PENDING, "the provider decides later")
        if status in declared.success or (not declared.success and 200 <= status < 300):
            return self._succeeded(answer)
        if status in {401, 403}:
            return self._verdict(answer, Told.REFUSED, "the credentials were refused", hold=True)
        if status >= 500 and self._replayed(answer):
            return self._verdict(answer, Told.STUCK, "the provider repeats that it failed")
        if status == 429 or status in declared.retryable:
            return self._verdict(answer, Told.REFUSED, "turned away for now")
        if status == 409:
            told = Told.MISMATCH if declared.conflict == "mismatch" else Told.REFUSED
            return self._verdict(answer, told, "it conflicts with what is there")
        if 400 <= status < 500 and status != 408:
            return self._verdict(answer, Told.DECLINED, "the provider refused it")
        return self._verdict(answer, Told.UNKNOWN, "that does not tell what became of it")

    def look_up(self, effect: Effect, ask: Ask) -> Verdict:
        """As declared; a record in a state that is not declared is waited for."""
        look_up = self._declared.look_up
        if look_up is None:
            raise NotImplementedError
        values = self._values(effect.arguments, effect.idempotency_key)
        query = {name: Template(value).text(values) for name, value in look_up.parameters.items()}
        path = _path(self.name, look_up.path, values)
        joint = "&" if "?" in path else "?"
        answer = ask(Request("GET", path + (joint + urlencode(query) if query else "")))
        if answer.status in look_up.absent:
            return self._verdict(answer, Told.OPEN, "nothing of it is there")
        found = at(parsed(answer.body), look_up.records) if 200 <= answer.status < 300 else None
        if not isinstance(found, dict | list):
            held = answer.status in {401, 403}
            return self._verdict(answer, Told.UNAVAILABLE, "that is no answer to the look-up", hold=held)
        listed = found if isinstance(found, list) else [found]
        records = [record for record in listed if _matches(record, look_up.match, values)]
        if not records:
            return self._verdict(answer, Told.OPEN, "nothing of it is there")
        return self._recorded(answer, look_up, records)

    def _recorded(self, answer: Answer, look_up: RestLookUp, records: list[object]) -> Verdict:
        """The record that says most: that it is done, else that it may yet be."""
        states: States = {
            Told.DECLINED: look_up.declined,
            Told.PENDING: look_up.pending,
            Told.OPEN: look_up.open,
            Told.DONE: look_up.done,
        }
        told = [(_state(record, states) or Told.PENDING, record) for record in records]
        best, record = min(told, key=lambda each: _TELLING.index(each[0]))
        facts: dict[str, object] = {"records": len(records)} if len(records) > 1 else {}
        remote_id = scalar(at(record, look_up.id)) if look_up.id else ""
        return self._verdict(answer, best, "the look-up shows it", remote_id=remote_id, facts=facts)

    def _succeeded(self, answer: Answer) -> Verdict:
        document = parsed(answer.body) if answer.body else None
        asked = any(self._states.values())
        if document is NOT_JSON or (asked and document is None):
            return self._verdict(answer, Told.UNKNOWN, "its body is not what the provider promises")
        told = _state(document, self._states)
        if told is None:
            return self._verdict(answer, Told.UNKNOWN, "its body is in no state that is declared")
        remote_id = scalar(at(document, self._declared.id)) if self._declared.id else ""
        return self._verdict(answer, told, "", remote_id=remote_id)

    def _verdict(
        self,
        answer: Answer,
        told: Told,
        why: str,
        *,
        remote_id: str = "",
        facts: Mapping[str, object] | None = None,
        hold: bool = False,
    ) -> Verdict:
        word = ""
        if self._declared.error_code and answer.status >= 400:
            word = scalar(at(parsed(answer.body), self._declared.error_code))[:80]
        code = word or (f"http_{answer.status}" if not 200 <= answer.status < 300 else "")
        said = f"HTTP {answer.status}{f' {word}' if word else ''}{f': {why}' if why else ''}"
        return Verdict(
            told,
            code,
            said,
            remote_id,
            facts or {},
            status=answer.status,
            replayed=self._replayed(answer),
            retry_after=answer.retry_after,
            hold=hold,
        )

    def _replayed(self, answer: Answer) -> bool:
        return answer.headers.get(self._declared.replayed_header.lower(), "").strip().lower() == "true"

    def _values(self, arguments: Arguments, idempotency_key: str) -> dict[str, Value]:
        values: dict[str, Value] = {KEY: idempotency_key}
        for name, kind in self._declared.arguments.items():
            value = arguments[name]
            values[name] = Decimal(str(value)) if kind == "decimal" else _plain(value)
        return values


def _plain(value: object) -> Value:
    if isinstance(value, str | int):
        return value
    raise TypeError(f"{type(value).__name__} is no argument of an operation")


def _path(operation: str, source: str, values: Mapping[str, Value]) -> str:
    """A path whose filled in parts stay what they are: HTTP libraries take `.` and `..` as directions."""
    path = Template(source).quoted(values)
    if {".", ".."} & set(path.partition("?")[0].split("/")):
        raise UsageError(f'{operation}: "." and ".." cannot be part of a path')
    return path


def _state(document: object, states: States) -> Told | None:
    """The first of the states that the document is in; done where no state of being done is declared."""
    for told, wanted in states.items():
        if wanted and all(scalar(at(document, path)) in values for path, values in wanted.items()):
            return told
    return None if states[Told.DONE] else Told.DONE


def _matches(record: object, wanted: Mapping[str, str], values: Mapping[str, Value]) -> bool:
    return all(_same(at(record, path), Template(text).value(values)) for path, text in wanted.items())


def _same(found: object, value: Value) -> bool:
    """Numbers by value, everything else by its text."""
    if isinstance(value, int | Decimal) and isinstance(found, int | Decimal) and not isinstance(found, bool):
        return found == value
    if isinstance(found, str):
        return found == written(value)  # Whole: what was cut might be the difference.
    return isinstance(found, int | Decimal) and scalar(found) == written(value)
