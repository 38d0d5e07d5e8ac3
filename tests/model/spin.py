"""One exhaustive search of protocol.pml, and what it said.

`python -m tests.model.spin [SWITCH ...]` looks for the shortest way to break a claim, and tells it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.model.programs import Programs, Unavailable, find, output

MODEL = Path(__file__).with_name("protocol.pml")
MOST_SECONDS = 1800
_DEEPEST = 100_000
"""Steps; a search that needs more says so, and is not complete."""
_BROKEN = re.compile(r"assertion violated (\w+)")
_STATES = re.compile(r"([\d.e+]+) states, stored")
_ERRORS = re.compile(r"errors: (\d+)")
_UNREACHED = re.compile(r"^\t(\S+:\d+), state \d+, \"(.*)\"$", re.MULTILINE)
_SHOWN = re.compile(r"printf\('(\w.*)'\)")
_CUT_SHORT = ("max search depth too small", "Search not completed", "out of memory", "Bit statespace")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many members there are, how often one claims, and how often the effect is sent."""

    members: int
    terms: int
    sends: int

    def switches(self) -> list[str]:
        """As the model takes them."""
        return [f"MEMBERS={self.members}", f"TERMS={self.terms}", f"SENDS={self.sends}"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a search came to."""

    broken: str
    """The claim that does not hold; empty when all do."""
    states: int
    complete: bool
    """Every state was visited, none was taken for another, and nothing was left out for its depth."""
    unreached: tuple[str, ...]
    """Steps of the model that no run takes: parts of it that say nothing. Of a complete search only."""
    story: str
    """How the claim came to be broken."""
    output: str


def search(
    programs: Programs,
    folder: Path,
    switches: Sequence[str] = (),
    bounds: Bounds = Bounds(2, 3, 2),
    *,
    shortest: bool = False,
    large: bool = False,
) -> Verdict:
    """Search until a claim breaks or every state was seen; `shortest` takes longer to find less to read.

    Partial order reduction is off: it would be sound here, but what is not needed need not be trusted.
    """
    source = folder / "protocol.i"
    source.write_text(programs.compiler.preprocessed(MODEL, [*switches, *bounds.switches()]))
    # The switches are decided already, so that Spin needs neither gcc nor a shell's quotes for them.
    # -o3: steps are not merged, or a step counts as reached when only its condition was looked at.
    merge = ["-o3"] if "SHOW" in switches else []
    output([programs.spin, "-Pcat", *merge, "-a", source.name], folder)
    kind = ["-DSAFETY", "-DNOREDUCE", *(["-DBFS"] if shortest else [])]
    level = "-O2" if large or shortest else "-O0"
    verifier = programs.compiler.compiled(folder / "pan.c", [level, *kind])
    said = output([str(verifier), f"-m{_DEEPEST}", "-w24" if large else "-w20"], folder, seconds=MOST_SECONDS)
    broken = _BROKEN.search(said)
    states, errors = _STATES.search(said), _ERRORS.search(said)
    assert states is not None
    assert errors is not None, said
    whole = "Full statespace search" in said and not any(words in said for words in _CUT_SHORT)
    return Verdict(
        broken[1] if broken else "",
        int(float(states[1])),
        whole and errors[1] == "0",
        tuple(_named(*found) for found in _UNREACHED.findall(said) if found[1] != "-end-"),
        _story(programs, folder, source) if broken else "",
        said,
    )


def shortest_story(programs: Programs, folder: Path, switches: Sequence[str], bounds: Bounds) -> str:
    """The fewest steps to a broken claim, and its name; empty when all hold."""
    verdict = search(programs, folder, switches, bounds, shortest=True)
    return f"{verdict.story}{verdict.broken} does not hold\n" if verdict.broken else ""


def _story(programs: Programs, folder: Path, source: Path) -> str:
    """The steps of the trail that the model has words for."""
    told = output([programs.spin, "-Pcat", "-T", "-t", source.name], folder)
    steps = told.partition("#processes")[0].splitlines(keepends=True)
    return "".join(step for step in steps if not step.startswith("spin: "))


def _named(where: str, step: str) -> str:
    """What an unreached step is called: by what it was to show, else by its place."""
    shown = _SHOWN.fullmatch(step)
    return shown[1] if shown else f"{where} {step}"


def main(switches: Sequence[str]) -> int:
    """Tell the shortest story, with as few members, terms and sends as it takes."""
    with tempfile.TemporaryDirectory() as name:
        for bounds in (Bounds(2, 2, 2), Bounds(2, 2, 3), Bounds(2, 3, 2)):
            try:
                story = shortest_story(find(), Path(name), switches, bounds)
            except Unavailable as error:
                sys.stderr.write(f"{error}\n")
                return 2
            if story:
                sys.stdout.write(story)
                return 1
    sys.stdout.write("all claims hold, as far as this looked\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
