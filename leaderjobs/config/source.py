"""Which file is the configuration, and what it says before anything is checked."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from leaderjobs.config.locate import Lines
from leaderjobs.config.shown import one_line, quoted
from leaderjobs.errors import ConfigError

FILE_NAME = "leaderjobs.toml"
MOST_BYTES = 1024 * 1024
# The standard reader's time is quadratic in the parts of one dotted key; no key of ours has over three.
MOST_KEY_PARTS = 64
_LONG_KEY = re.compile(rf"(?:[^\s\"'#.=]+[ \t]*\.[ \t]*){{{MOST_KEY_PARTS}}}")
_PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """The parsed file, or an empty one where there is none."""

    path: Path | None = None
    tree: dict[str, object] = field(default_factory=dict, repr=False)
    lines: Lines = field(default_factory=lambda: Lines(""), repr=False)
    world_readable: bool = False

    def where(self, path: tuple[str, ...]) -> str:
        """`FILE:LINE`, as far as it is known."""
        line = self.lines.of(path)
        return place(self.path, line)


def place(path: Path | None, line: int | None) -> str:
    """`FILE:LINE` as editors and terminals take it."""
    name = one_line(str(path)) if path else "no file"
    return f"{name}:{line}" if line else name


def read(path: Path | None, environ: Mapping[str, str]) -> Document:
    """Parse the file that `path`, else LEADERJOBS_CONFIG names, else the first default that exists."""
    chosen = path or (Path(environ["LEADERJOBS_CONFIG"]) if environ.get("LEADERJOBS_CONFIG") else None)
    if chosen is not None:
        return _parse(chosen)
    # Without a home directory platformdirs answers with a literal "~", which is no place of the user's.
    of_user = platformdirs.user_config_path("leaderjobs")
    for candidate in (Path(FILE_NAME), of_user / FILE_NAME if of_user.is_absolute() else None):
        if candidate is not None and _is_there(candidate):
            return _parse(candidate)
    return Document()


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    except OSError as error:
        raise ConfigError(f"{one_line(str(path))}: cannot be read: {error.strerror}") from None
    return True


def _parse(path: Path) -> Document:
    text, mode = _text(path)
    too_long = _LONG_KEY.search(text)
    if too_long and "\n" not in too_long[0]:
        line = text.count("\n", 0, too_long.start()) + 1
        raise ConfigError(f"{place(path, line)}: a key of more than {MOST_KEY_PARTS} parts; allowed: three")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.match(str(error))
        what = quoted(found["what"] if found else str(error))
        line = int(found["line"]) if found and found["line"] else text.count("\n") + 1
        raise ConfigError(f"{place(path, line)}: not TOML: {what}") from None
    except RecursionError:
        raise ConfigError(f"{place(path, None)}: nested too deeply; allowed: three levels") from None
    except ValueError:
        # Python's own bound on the digits of a number, which the reader lets through without a place.
        raise ConfigError(f"{place(path, None)}: holds a number of too many digits") from None
    return Document(path, tree, Lines(text), world_readable=bool(mode & stat.S_IROTH))


def _text(path: Path) -> tuple[str, int]:
    """The file's text with LF line ends, and its mode."""
    name = one_line(str(path))
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            raw = handle.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror or 'not a file'}") from None
    except ValueError:
        raise ConfigError(f"{name}: cannot be read: a path may not hold a NUL") from None
    if len(raw) > MOST_BYTES:
        raise ConfigError(f"{name}: larger than {MOST_BYTES} bytes; allowed: one TOML file of settings")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{place(path, line)}: not UTF-8 text; save the file as UTF-8") from None
    return text.replace("\r\n", "\n"), mode
