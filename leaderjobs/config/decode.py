"""One section of the configuration against one annotated class, field by field."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec

from leaderjobs.config.environment import EnvironmentValue, Path
from leaderjobs.config.settings import Between
from leaderjobs.config.shown import one_line, quoted, shown
from leaderjobs.config.source import Document
from leaderjobs.config.words import Parsed, allowed_for, unwrapped
from leaderjobs.errors import ConfigError
from leaderjobs.values import Secret

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A setting: its key, its annotated type, and whether it must be given."""

    key: str
    name: str
    type: object
    required: bool


def fields_of(kind: type) -> list[Field]:
    """The settings that a dataclass or a msgspec Struct declares, in their order."""
    if issubclass(kind, msgspec.Struct):
        return [
            Field(field.encode_name, field.name, field.type, field.required)
            for field in msgspec.structs.fields(kind)
        ]
    hints = typing.get_type_hints(kind, include_extras=True)
    declared = dataclasses.fields(typing.cast("type[DataclassInstance]", kind))
    return [
        Field(field.name, field.name, hints[field.name], required=_no_default(field)) for field in declared
    ]


class Reader:
    """Reads sections of one document and its overlay; every complaint is a ConfigError with its place."""

    def __init__(self, document: Document) -> None:
        """Begin without an overlay: which variables fit is known only after the connectors are."""
        self.document = document
        self.overlay: Mapping[Path, EnvironmentValue] = {}

    def fail(self, path: Path, complaint: str) -> ConfigError:
        """The error for the file's key at `path`; `complaint` goes on after the key."""
        dotted = ".".join(quoted(part) for part in path)
        return ConfigError(f"{self.document.where(path)}: {dotted}{complaint}")

    def table(self, *path: str) -> dict[str, object]:
        """The table at `path`, empty when there is none; names are not checked."""
        found: object = self.document.tree
        for depth, part in enumerate(path, start=1):
            found = found.get(part, {}) if isinstance(found, dict) else {}
            if not isinstance(found, dict):
                raise self.fail(path[:depth], f": not a table; write [{'.'.join(path[:depth])}]")
        return typing.cast("dict[str, object]", found)

    def known_only(self, path: Path, allowed: Collection[str]) -> None:
        """Refuse a key of the table at `path` that is not among `allowed`."""
        for key in self.table(*path):
            if key not in allowed:
                near = difflib.get_close_matches(key, allowed, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise self.fail((*path, key), f": unknown key; {hint}allowed: {', '.join(allowed)}")

    def build(self, kind: type[T], path: Path, given: Mapping[str, object] | None = None) -> T:
        """An instance of `kind` from the table at `path`; `given` fields are not the table's."""
        table = self.table(*path)
        values = dict(given or {})
        for field in fields_of(kind):
            if field.name in values:
                continue
            here = (*path, field.key)
            nested, named = struct_of(field.type), named_structs_of(field.type)
            if here in self.overlay:
                values[field.name] = self._read(self.overlay[here].text, here, field)
            elif nested is not None and isinstance(table.get(field.key), dict):
                values[field.name] = self._section(nested, here)
            elif named is not None and isinstance(table.get(field.key), dict):
                values[field.name] = {name: self._section(named, (*here, name)) for name in self.table(*here)}
            elif field.key in table:
                values[field.name] = self._read(table[field.key], here, field)
            elif field.required:
                raise self.fail(path, f": {field.key} is missing; allowed: {allowed_for(field.type)}")
        try:
            return kind(**values)
        except ValueError as error:
            raise self._refused(kind, path, str(error)) from None

    def _section(self, kind: type[T], path: Path) -> T:
        """A struct inside another as a section of its own, so that a complaint names the key inside."""
        self.table(*path)
        self.known_only(path, [inner.key for inner in fields_of(kind)])
        return self.build(kind, path)

    def complain(self, path: Path, value: str, allowed: str) -> ConfigError:
        """The error for `value` (as it may be shown) that stands at `path`, wherever it came from."""
        if path in self.overlay:
            return ConfigError(f"{self.overlay[path].variable} = {value}: allowed: {allowed}")
        return self.fail(path, f" = {value}: allowed: {allowed}")

    def _refused(self, kind: type, path: Path, complaint: str) -> ConfigError:
        """A type's own check failed; where it says `KEY: allowed: …`, the value is looked up for it."""
        key, _, allowed = complaint.partition(": allowed: ")
        field = next((field for field in fields_of(kind) if field.name == key), None)
        if field is None or not allowed:
            return self.fail(path, f": {one_line(complaint)}")
        here = (*path, field.key)
        in_file = self.table(*path).get(field.key)
        value = self.overlay[here].text if here in self.overlay else in_file
        return self.complain(here, _safe(value, field.type), one_line(allowed))

    def _read(self, value: object, path: Path, field: Field) -> object:
        try:
            return decode(value, field.type, lax=path in self.overlay)
        except ValueError as error:
            raise self.complain(path, _safe(value, field.type), str(error)) from None


def decode(value: object, kind: object, *, lax: bool) -> object:
    """`value` as `kind`; ValueError says only what is allowed. `lax` reads numbers and lists from text."""
    inner, extras = unwrapped(kind)
    if isinstance(inner, type) and hasattr(inner, "parse"):
        return _parse(typing.cast("type[Parsed]", inner), value, extras)
    if lax and isinstance(value, str) and _is_collection(inner):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, typing.cast("type[object]", kind), strict=not lax, dec_hook=_hook)
    except (msgspec.ValidationError, RecursionError, OverflowError):
        raise ValueError(allowed_for(kind)) from None


def holds_secret(kind: object) -> bool:
    """Whether a value of this type must never be shown."""
    inner, _ = unwrapped(kind)
    if isinstance(inner, type) and issubclass(inner, Secret):
        return True
    nested = struct_of(inner)
    if nested is not None:
        return any(holds_secret(field.type) for field in fields_of(nested))
    return any(holds_secret(part) for part in typing.get_args(inner) if part is not inner)


def struct_of(kind: object) -> type[msgspec.Struct] | None:
    """The type of a table inside a section; None for any other value."""
    inner, _ = unwrapped(kind)
    return inner if isinstance(inner, type) and issubclass(inner, msgspec.Struct) else None


def named_structs_of(kind: object) -> type[msgspec.Struct] | None:
    """The type of the values of a table of tables, such as `[connections.NAME.streams.STREAM]`."""
    inner, _ = unwrapped(kind)
    arguments = typing.get_args(inner)
    if typing.get_origin(inner) is dict and len(arguments) == 2:
        return struct_of(arguments[1])
    return None


def _parse(kind: type[Parsed], value: object, extras: tuple[object, ...]) -> object:
    try:
        parsed = kind.parse(value)
    except RuntimeError:
        raise ValueError("a path whose ~ names a user of this machine") from None
    except ValueError as error:
        between = next((extra.text for extra in extras if isinstance(extra, Between)), None)
        raise ValueError(between or str(error).removeprefix("allowed: ")) from None
    for extra in extras:
        if isinstance(extra, Between) and not extra.low <= typing.cast("typing.Any", parsed) <= extra.high:
            raise ValueError(extra.text)
    return parsed


def _hook(kind: type, value: object) -> object:
    """For msgspec: types of ours inside collections."""
    return typing.cast("type[Parsed]", kind).parse(value)


def _safe(value: object, kind: object) -> str:
    return "***" if holds_secret(kind) else shown(value)


def _is_collection(kind: object) -> bool:
    return (typing.get_origin(kind) or kind) in {list, tuple, set, frozenset}


def _no_default(field: dataclasses.Field[typing.Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
