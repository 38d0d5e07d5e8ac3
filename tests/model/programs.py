"""Spin and a C compiler for what it writes: from PATH, else fetched into the user's cache. Nothing is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from leaderjobs.embedded.jars import LOCK_SECONDS, unpack_packages
from leaderjobs.embedded.locks import locked
from leaderjobs.errors import EmbeddedError

COMPILERS = ("cc", "gcc", "clang", "tcc")
# A compiler of 300 kB that needs no assembler and no linker; it brings neither C's headers nor its start files.
TCC_PACKAGES = ("tcc", "libc6-dev", "linux-libc-dev")
_HELLO = '#include <stdio.h>\nint main(void) { printf("%d\\n", 6 * 7); return 0; }\n'
_SECONDS = 60


class Unavailable(Exception):
    """It is not on this machine and cannot be fetched; says what to install."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler, with what must stand before and after the source where it does not know its own system."""

    program: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def preprocessed(self, source: Path, switches: Sequence[str]) -> str:
        """The source with its switches decided."""
        command = [self.program, "-E", "-x", "c", *(f"-D{switch}" for switch in switches), str(source)]
        return output(command, source.parent)

    def compiled(self, source: Path, switches: Sequence[str]) -> Path:
        """The program made of a source."""
        made = source.with_suffix("")
        output(
            [self.program, "-w", *switches, *self.before, "-o", str(made), str(source), *self.after],
            source.parent,
        )
        return made

    def works(self) -> bool:
        """Whether it can make a program that runs: a compiler may be there without C's headers."""
        with tempfile.TemporaryDirectory() as name:
            source = Path(name) / "hello.c"
            source.write_text(_HELLO)
            try:
                return output([str(self.compiled(source, ()))], source.parent) == "42\n"
            except (OSError, AssertionError):
                return False


@dataclass(frozen=True, slots=True)
class Programs:
    """What a search needs."""

    spin: str
    compiler: Compiler


def find() -> Programs:
    """Spin and a compiler; Unavailable when one of them cannot be had."""
    return Programs(_spin(), _compiler())


def output(command: Sequence[str], folder: Path, seconds: float = _SECONDS) -> str:
    """What a command says; AssertionError with all of it when it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _spin() -> str:
    # Another program is called spin, too: one for WebAssembly.
    found = shutil.which("spin")
    if found is not None and _is_spin(found):
        return found
    return str(fetched("spin", ("spin",), "usr/bin/spin"))


def _is_spin(program: str) -> bool:
    try:
        return output([program, "-V"], Path.cwd()).startswith("Spin Version")
    except (OSError, AssertionError):
        return False


def _compiler() -> Compiler:
    for name in COMPILERS:
        found = shutil.which(name)
        if found is not None and (compiler := Compiler(found)).works():
            return compiler
    program = fetched("tcc", TCC_PACKAGES, "usr/bin/tcc")
    compiler = _tcc(program)
    if not compiler.works():
        raise Unavailable("no C compiler, and the one that was fetched does not work here: install gcc")
    return compiler


def _tcc(program: Path) -> Compiler:
    """The fetched tcc, told where everything is: it was built to live under `/`."""
    root = program.parents[2]
    start = next(root.glob("usr/lib/*/crt1.o"), None)
    if start is None:
        raise Unavailable("no C compiler, and libc6-dev has no crt1.o where it is looked for: install gcc")
    libraries = start.parent
    own = libraries / "tcc"
    headers = (own / "include", root / "usr/include" / libraries.name, root / "usr/include")
    return Compiler(
        str(program),
        (
            "-nostdinc",
            *(f"-I{folder}" for folder in headers),
            f"-B{own}",
            "-nostdlib",
            *(str(libraries / name) for name in ("crt1.o", "crti.o")),
        ),
        (
            f"/lib/{libraries.name}/libc.so.6",
            *(str(libraries / name) for name in ("libc_nonshared.a", "tcc/libtcc1.a", "crtn.o")),
        ),
    )


def fetched(name: str, packages: Sequence[str], wanted: str) -> Path:
    """A file of the packages, downloaded once for however many processes ask together."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Unavailable(f"no {name} on this machine, and no apt to fetch it with: install {packages[0]}")
    cache = platformdirs.user_cache_path("leaderjobs") / name
    try:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(cache.with_name(f"{name}.lock"), LOCK_SECONDS):
            if not (cache / wanted).is_file():
                _fetch(packages, cache)
    except (EmbeddedError, OSError) as error:
        raise Unavailable(f"no {name} on this machine, and {error}: install {packages[0]}") from None
    if not (cache / wanted).is_file():
        raise Unavailable(f"the packages {', '.join(packages)} hold no {wanted}: install {packages[0]}")
    return cache / wanted


def _fetch(packages: Sequence[str], cache: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{cache.name}.", dir=cache.parent) as name:
        root = unpack_packages(packages, Path(name))
        if cache.exists():
            shutil.rmtree(cache)
        root.rename(cache)
