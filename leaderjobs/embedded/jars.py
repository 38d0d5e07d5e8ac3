"""Find ZooKeeper's jars, or fetch them as an unprivileged user from the system's package archive.

Looked at in this order: ZOOKEEPER_HOME (an unpacked release), the system's packages, our cache, apt.
Which jars are needed was measured: without metrics-core the server dies at once, without snappy-java it
opens its port and never serves; netty, jetty, jackson and log4j are not needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from leaderjobs.embedded.locks import locked
from leaderjobs.errors import EmbeddedError

SYSTEM = Path("/usr/share/java")
LISTS = Path("/var/lib/apt/lists")
PACKAGES = ("libzookeeper-java", "libslf4j-java", "libdropwizard-metrics-java", "libsnappy-java")
APT_SECONDS = 120
LOCK_SECONDS = 3.0 * APT_SECONDS
_NEEDED = ("slf4j-api", "metrics-core", "snappy-java", "zookeeper-jute", "zookeeper")
# One of them, so that the log says why a start failed; without any, slf4j prints a notice and is silent.
_LOGGERS = ("slf4j-simple", "slf4j-nop")
_HELP = (
    "install libzookeeper-java (Debian, Ubuntu), "
    "or unpack a release of zookeeper.apache.org and set ZOOKEEPER_HOME"
)


def find_jars() -> list[Path]:
    """The class path, in order; EmbeddedError says what to install.

    `zookeeper.jar` comes last: Debian's names jars under /usr/share/java in its manifest, and what a
    manifest names is searched right after the jar itself.
    """
    home = os.environ.get("ZOOKEEPER_HOME")
    if home:
        found = _jars_in([Path(home) / "lib", Path(home)])
        if found is None:
            raise EmbeddedError(f"ZOOKEEPER_HOME={home} lacks one of {', '.join(_NEEDED)}: {_HELP}")
        return found
    found = _jars_in([SYSTEM])
    if found is None:
        cache = platformdirs.user_cache_path("leaderjobs") / "zookeeper"
        found = _jars_in([cache]) or _fetched(cache)
    return found


def _jars_in(folders: list[Path]) -> list[Path] | None:
    here = [jar for folder in folders if folder.is_dir() for jar in folder.glob("*.jar")]
    needed = [_pick(here, name) for name in _NEEDED]
    jars = [jar for jar in needed if jar is not None]
    if len(jars) < len(needed):
        return None
    logger = next((jar for jar in (_pick(here, name) for name in _LOGGERS) if jar), None)
    return [*([logger] if logger else []), *jars]


def _pick(jars: list[Path], name: str) -> Path | None:
    """`name.jar` or the newest `name-1.2.3.jar`, but neither `name-other-1.2.jar` nor a jar of tests."""
    exact = re.compile(rf"{re.escape(name)}(-\d[\w.]*)?\.jar")
    fitting = [jar for jar in jars if exact.fullmatch(jar.name)]
    return max(fitting, key=lambda jar: [int(part) for part in re.findall(r"\d+", jar.name)], default=None)


def _fetched(cache: Path) -> list[Path]:
    """Download into the cache, once for however many processes ask together."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise EmbeddedError(f"no ZooKeeper on this machine: {_HELP}")
    try:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(cache.with_name("zookeeper.lock"), LOCK_SECONDS):
            if _jars_in([cache]) is None:
                _download(cache)
    except TimeoutError as error:
        raise EmbeddedError(f"fetching ZooKeeper: {error}; end it, or {_HELP}") from None
    except OSError as error:
        raise EmbeddedError(
            f"no ZooKeeper on this machine, and its jars cannot be kept in {cache}: {error.strerror}; "
            f"set XDG_CACHE_HOME, or {_HELP}"
        ) from None
    found = _jars_in([cache])
    if found is None:
        raise EmbeddedError(f"the packages {', '.join(PACKAGES)} did not hold all jars of ZooKeeper: {_HELP}")
    return found


def _download(cache: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="zookeeper.", dir=cache.parent) as name:
        work = Path(name)
        try:
            root = unpack_packages(PACKAGES, work)
        except EmbeddedError as error:
            raise EmbeddedError(f"no ZooKeeper on this machine, and {error}: {_HELP}") from None
        fresh = work / "jars"
        fresh.mkdir()
        for jar in _jars_in([root / SYSTEM.relative_to("/")]) or []:
            shutil.copyfile(jar, fresh / jar.name)
        if cache.exists():
            shutil.rmtree(cache)
        fresh.rename(cache)


def unpack_packages(packages: Sequence[str], work: Path) -> Path:
    """Download packages from the system's archive and unpack them; the folder that stands for `/`.

    Nothing is installed, and any user may. `work` is an empty folder that the caller removes.
    EmbeddedError when the archive cannot be reached or lacks one of them.
    """
    for deb in _apt_download(packages, work):
        _run(["dpkg", "-x", str(deb), str(work / "root")], work)
    return work / "root"


def _apt_download(packages: Sequence[str], work: Path) -> list[Path]:
    """With the system's package lists, else (containers ship without them) with lists of our own."""
    for part in ("lists/partial", "cache/archives/partial", "state"):
        (work / part).mkdir(parents=True)
    (work / "state" / "status").touch()
    options = {
        "Dir::State": work / "state",
        "Dir::State::status": work / "state" / "status",
        "Dir::Cache": work / "cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
    }
    common = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    own_lists = f"-oDir::State::Lists={work / 'lists'}"
    said = _run([*common, f"-oDir::State::Lists={LISTS}", "download", *packages], work)
    if said is not None:
        # A repository that fails does not matter as long as one has the packages.
        _run([*common, own_lists, "update"], work)
        said = _run([*common, own_lists, "download", *packages], work)
    if said is not None:
        raise EmbeddedError(f"apt-get download failed ({said})")
    return sorted(work.glob("*.deb"))


def _run(command: list[str], work: Path) -> str | None:
    """None when it went well, else the last line it said."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(work)}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env={**environment, **proxies},
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {APT_SECONDS} s"
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return None if done.returncode == 0 else (lines or [f"exit {done.returncode}"])[-1][:200]
