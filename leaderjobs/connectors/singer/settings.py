"""What `connector = "singer"` takes in the configuration, and the tap's own configuration made from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, quote_plus

import msgspec

from leaderjobs.errors import ConfigError, FatalError
from leaderjobs.values import Duration, Secret

MOST_PAGE_SIZE = 100_000
MOST_TIMEOUT = timedelta(days=1)
MOST_STREAM_BYTES = 55
"""A table and, with a suffix, a view are called like the stream; Postgres has 63 bytes for a name."""
MOST_SCHEMA_BYTES = 63
LEAST_HIDDEN_LINE = 8
"""Characters of one line of a secret that has several, to be hidden by itself as well."""
HIDDEN = "***"
_COMMAND_ALLOWED = "the absolute path of the tap's executable, or a list of words that begins with it"
Words = Annotated[str | tuple[str, ...], msgspec.Meta(description=_COMMAND_ALLOWED)]
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
_FILE_ALLOWED = "the absolute path of a file"
_SCHEMA_ALLOWED = f"1 to {MOST_SCHEMA_BYTES} bytes"


class SingerSelection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `select.STREAM`: what to ask the tap for, where it is not what it does by itself."""

    fields: tuple[str, ...] = ()
    """Members of a record to ask for; the tap adds those that it cannot do without. Left out: all."""
    replication_method: Literal["FULL_TABLE", "INCREMENTAL", "LOG_BASED"] | None = None
    replication_key: str | None = None
    key: tuple[str, ...] = ()
    """Members that tell a record from all others, where the tap names none or the wrong ones."""


class SingerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `[connections.NAME]` takes beside `connector = "singer"`."""

    command: Words
    streams: Names
    """What to sync, as the tap calls it; a table and a marker each."""
    config: dict[str, Any] = {}
    """The tap's own configuration, without its secrets."""
    secrets: dict[str, Secret] = {}
    """Members of the tap's configuration that are secret; a dot in a name leads into a table."""
    catalog: Annotated[str | None, msgspec.Meta(description=_FILE_ALLOWED)] = None
    """The path of a catalog file; without one the tap is asked to `--discover`."""
    select: dict[str, SingerSelection] = {}
    also_select: tuple[str, ...] = ()
    """Streams that the tap needs selected to give the others, such as parents; their records are dropped."""
    page_size: int = 5000
    """Records after which a page is committed where the tap has not sent its state by then."""
    timeout: Duration = Duration(minutes=10)
    """How long a tap may say nothing, and how long `--discover` may take in all."""
    schema: Annotated[str | None, msgspec.Meta(description=_SCHEMA_ALLOWED)] = None
    """Where its tables are; left out, the connection's name."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        if not _is_command(self.words):
            raise ValueError(f"command: allowed: {_COMMAND_ALLOWED}")
        if not all(map(_is_name, self.streams)) or len(set(self.streams)) < len(self.streams):
            raise ValueError(
                f"streams: allowed: names of streams, each once, of at most {MOST_STREAM_BYTES} bytes"
            )
        if not set(self.select) <= set(self.streams):
            raise ValueError(f"select: allowed: tables named like the streams: {', '.join(self.streams)}")
        if set(self.also_select) & set(self.streams):
            raise ValueError("also_select: allowed: streams that are not among `streams` already")
        if self.catalog is not None and (not Path(self.catalog).is_absolute() or "\0" in self.catalog):
            raise ValueError(f"catalog: allowed: {_FILE_ALLOWED}")
        if not 1 <= self.page_size <= MOST_PAGE_SIZE:
            raise ValueError(f"page_size: allowed: 1 to {MOST_PAGE_SIZE}")
        if not timedelta(0) < self.timeout <= MOST_TIMEOUT:
            raise ValueError('timeout: allowed: more than "0s", up to "1d"')
        if (
            self.schema is not None
            and not 1 <= len(self.schema.encode("utf-8", "replace")) <= MOST_SCHEMA_BYTES
        ):
            raise ValueError(f"schema: allowed: {_SCHEMA_ALLOWED}")
        try:
            _merged(self.config, dict.fromkeys(self.secrets, ""))
        except ValueError as error:
            raise ValueError(f"secrets: allowed: {error}") from None

    @property
    def words(self) -> tuple[str, ...]:
        """The command, word by word."""
        return (self.command,) if isinstance(self.command, str) else self.command

    @property
    def tap(self) -> str:
        """What people call the tap: its executable's name."""
        return Path(self.words[0]).name


class Configuration:
    """The tap's configuration as it is now, secrets read anew, and what hides them in what the tap says."""

    def __init__(self, settings: SingerSettings) -> None:
        """FatalError where a secret cannot be had."""
        try:
            revealed = {name: secret.reveal() for name, secret in settings.secrets.items()}
        except ConfigError as error:
            raise FatalError(str(error)) from None
        self.body = msgspec.json.encode(_merged(settings.config, revealed))
        spellings = {spelling for value in revealed.values() for spelling in _spellings(value)}
        self.longest = max(map(len, spellings), default=0)
        # The longest first: a secret may begin with another.
        self._secret = re.compile("|".join(map(re.escape, sorted(spellings, key=len, reverse=True))))

    def hide(self, text: str) -> str:
        """`text` without any secret, however JSON, Python or a URL spell it."""
        return self._secret.sub(HIDDEN, text) if self.longest else text


def _spellings(value: str) -> Iterable[str]:
    """How a secret may look in a log; one of several lines also line by line."""
    for part in {
        value,
        *(line.strip() for line in value.splitlines() if len(line.strip()) >= LEAST_HIDDEN_LINE),
    }:
        yield from (part, repr(part)[1:-1], quote(part, safe=""), quote_plus(part))
        yield from (json.dumps(part, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))


def _merged(config: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """The secrets put where their names say; ValueError, naming none of them, where something is there."""
    merged = dict(config)
    for name, value in secrets.items():
        *tables, last = name.split(".")
        found = merged
        for table in tables:
            inner = found.get(table, {})
            if not isinstance(inner, dict):
                raise ValueError(f"names of members; in config {table!r} is no table")  # noqa: TRY004 - of the setting
            # A copy, for the settings are not ours to change.
            found[table] = found = dict(inner)
        if not last or last in found:
            raise ValueError("names of members that config does not have as well")
        found[last] = value
    return merged


def _is_command(words: tuple[str, ...]) -> bool:
    return bool(words) and Path(words[0]).is_absolute() and not any("\0" in word for word in words)


def _is_name(name: str) -> bool:
    return name.isprintable() and 1 <= len(name.encode("utf-8", "replace")) <= MOST_STREAM_BYTES
