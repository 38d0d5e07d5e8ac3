"""Values that have a text form of their own in the configuration: secrets, durations, rates.

Each type has `parse`, which takes what the TOML reader or an environment variable gave and raises
ValueError with a sentence that names what is allowed; the configuration adds file, line and value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Self

import msgspec

from leaderjobs.errors import ConfigError

MOST_SECRET_BYTES = 64 * 1024
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_RATE = re.compile(r"(\d{1,9})/(s|min|h)")
_RATE_SECONDS = {"s": 1, "min": 60, "h": 3600}
# Up to the LAST @ of the word: a password that was not percent-encoded may hold one, or a slash.
_URL_PASSWORD = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)\S+(?=@)")
_QUERY_PASSWORD = re.compile(r"(?P<before>[?&](?:ssl)?password=)[^&\s]+", re.IGNORECASE)


def hide_passwords(text: str) -> str:
    """`text` with the password of every URL in it replaced by three asterisks.

    >>> hide_passwords("no answer from postgresql://ann:pa@ss/w0rd@db:5432/acme")
    'no answer from postgresql://ann:***@db:5432/acme'
    """
    # Most texts are no URL, and every word of every log line comes through here.
    if "://" in text:
        text = _URL_PASSWORD.sub(r"\g<before>***", text)
    return _QUERY_PASSWORD.sub(r"\g<before>***", text) if "=" in text else text


class Secret:
    """A value that is shown nowhere: a literal of the file, an environment variable, or a file's text.

    Variables and files are read when the value is used, so a rotated file needs no restart.
    Not a dataclass, and nor is Rate: msgspec would decode those by itself and never call `parse`.
    """

    __slots__ = ("env", "file", "literal")

    def __init__(
        self, *, literal: str | None = None, env: str | None = None, file: Path | None = None
    ) -> None:
        """Exactly one of the three is given."""
        self.literal = literal
        self.env = env
        self.file = file

    def __eq__(self, other: object) -> bool:
        """Whether both come from the same place; values of variables and files are not read."""
        if not isinstance(other, Secret):
            return NotImplemented
        return (self.literal, self.env, self.file) == (other.literal, other.env, other.file)

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash((self.literal, self.env, self.file))

    def __repr__(self) -> str:
        """As `str`: where it comes from, never the value."""
        return f"Secret({self})"

    @classmethod
    def parse(cls, value: object) -> Self:
        """From a string, `{ env = "NAME" }` or `{ file = "/path" }`."""
        match value:
            case str() if value and "\0" not in value:
                return cls(literal=value)
            case {"env": str(name), **rest} if name and not rest and not set(name) & set("=\0"):
                return cls(env=name)
            case {"file": str(name), **rest} if name and not rest and "\0" not in name:
                return cls(file=Path(name).expanduser())
        raise ValueError('allowed: a non-empty string, { env = "NAME" } or { file = "/path" }')

    def reveal(self, environ: Mapping[str, str] | None = None) -> str:
        """The value itself; ConfigError when the variable or file is missing, empty or too large."""
        if self.literal is not None:
            return self.literal
        if self.env is not None:
            found = (os.environ if environ is None else environ).get(self.env, "")
            if not found:
                raise ConfigError(f"environment variable {self.env} is not set; set it, or name another")
            return found
        return self._from_file(self.file or Path())

    @staticmethod
    def _from_file(path: Path) -> str:
        try:
            with path.open("rb") as handle:
                raw = handle.read(MOST_SECRET_BYTES + 1)
            text = raw.decode().strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ConfigError(f"secret file {path} cannot be read: {why}") from None
        if not text or len(raw) > MOST_SECRET_BYTES:
            raise ConfigError(f"secret file {path} is empty or larger than {MOST_SECRET_BYTES} bytes")
        return text

    def __str__(self) -> str:
        """Where the value comes from, never the value."""
        return f"environment variable {self.env}" if self.env else f"file {self.file}" if self.file else "***"


def secrets_in(value: object) -> Iterator[Secret]:
    """The secrets that a setting holds: itself, or those of the tables inside."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from secrets_in(each)
    elif isinstance(value, msgspec.Struct):
        yield from secrets_in(msgspec.structs.asdict(value))


class Duration(timedelta):
    """A span of time written as `15s`, `250ms`, `1h30m`; behaves as the timedelta it is.

    >>> Duration.parse("1m30s") == timedelta(seconds=90)
    True
    """

    @classmethod
    def parse(cls, value: object) -> Self:
        """From text such as `15s`; a bare number is refused because its unit would be a guess."""
        if isinstance(value, str):
            text = value.strip()
            parts = _PARTS.findall(text)
            if parts and "".join(number + unit for number, unit in parts) == text:
                seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
                if seconds <= 366 * 86400:
                    return cls(seconds=seconds)
        raise ValueError('allowed: a number and a unit (ms, s, m, h, d), such as "15s" or "1h30m", to 366d')


class Rate:
    """At most `count` in every `per`, written as `50/min`."""

    __slots__ = ("count", "per")

    def __init__(self, count: int, per: timedelta) -> None:
        """`count` of at least 1."""
        self.count = count
        self.per = per

    def __eq__(self, other: object) -> bool:
        """By value."""
        if not isinstance(other, Rate):
            return NotImplemented
        return (self.count, self.per) == (other.count, other.per)

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash((self.count, self.per))

    def __str__(self) -> str:
        """As it is written."""
        seconds = self.per.total_seconds()
        unit = next((unit for unit, each in _RATE_SECONDS.items() if each == seconds), f"{seconds:g}s")
        return f"{self.count}/{unit}"

    def __repr__(self) -> str:
        """For people."""
        return f"Rate({self.count} per {self.per})"

    @classmethod
    def parse(cls, value: object) -> Self:
        """From text such as `50/min`."""
        found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
        if found and int(found[1]) > 0:
            return cls(int(found[1]), timedelta(seconds=_RATE_SECONDS[found[2]]))
        raise ValueError('allowed: a whole number per s, min or h, such as "50/min"')
