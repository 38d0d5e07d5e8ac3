"""Values from `LEADERJOBS_<SECTION>_…` variables, matched against the keys that really exist."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from leaderjobs.config.shown import quoted
from leaderjobs.errors import ConfigError

Path: TypeAlias = tuple[str, ...]

PREFIXES = (
    "LEADERJOBS_CLUSTER_",
    "LEADERJOBS_CONNECTIONS_",
    "LEADERJOBS_SYNCS_",
    "LEADERJOBS_SCHEDULES_",
    "LEADERJOBS_LIMITS_",
    "LEADERJOBS_HOOKS_",
    "LEADERJOBS_RETENTION_",
)


@dataclass(frozen=True, slots=True)
class EnvironmentValue:
    """The text of a variable, and which one, for messages."""

    variable: str
    text: str


def variable_of(path: Path) -> str:
    """The variable that sets the key at `path`; `-` and `.` of a name become `_`.

    >>> variable_of(("connections", "house-hold", "client_id"))
    'LEADERJOBS_CONNECTIONS_HOUSE_HOLD_CLIENT_ID'
    """
    joined = "_".join(path).replace("-", "_").replace(".", "_")
    return f"LEADERJOBS_{joined.upper()}"


def overlay(
    environ: Mapping[str, str], sections: Mapping[Path, Collection[str]]
) -> dict[Path, EnvironmentValue]:
    """The values that the environment gives to the keys of `sections`.

    A variable that fits no key is refused, so a typing error cannot go unnoticed; so is one that fits
    two (`a.b` and `a-b`, or `a` with key `b_c` and `a_b` with key `c`). An empty variable counts as
    unset, because that is what compose files and unit files make of an absent one.
    """
    known: dict[str, list[Path]] = {}
    for section, keys in sections.items():
        for key in keys:
            known.setdefault(variable_of((*section, key)), []).append((*section, key))
    values: dict[Path, EnvironmentValue] = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIXES)):
        paths = known.get(variable, [])
        if not paths:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"{quoted(variable)}: no such setting; {hint}"
                "allowed: LEADERJOBS_CLUSTER_KEY, LEADERJOBS_RETENTION_KEY, and "
                "LEADERJOBS_CONNECTIONS_NAME_KEY, LEADERJOBS_SYNCS_NAME_KEY and so on for names that the "
                "file defines"
            )
        if len(paths) > 1:
            both = " and ".join(quoted(".".join(path)) for path in paths)
            raise ConfigError(f"{variable}: ambiguous, it names {both}; rename one of the two in the file")
        if environ[variable]:
            values[paths[0]] = EnvironmentValue(variable, environ[variable])
    return values
