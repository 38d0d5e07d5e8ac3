"""As whom Postgres runs: it refuses root, and we neither add a user nor widen a directory's mode.

- Not root: as ourselves.
- Root, where the kernel allows user namespaces: in one that calls root `nobody`. Files stay root's, and
  programs and data may lie under a 0700 directory such as /root.
- Root elsewhere (Docker's default seccomp profile forbids namespaces): really as `nobody`, who owns the
  data. It cannot *walk* to data under a 0700 directory, but it may use a directory that we open for it,
  as /proc/self/fd/N; programs it cannot reach are copied once to a place of root's that all may read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leaderjobs.embedded.process import Program
from leaderjobs.errors import EmbeddedError

NOBODY = 65534
SHARED = Path("/var/lib/leaderjobs")
_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")


@dataclass(frozen=True, slots=True)
class Account:
    """What to put before a command, and the uid to change to, if any."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None

    @classmethod
    def choose(cls) -> Account:
        """The first of the three ways that works here."""
        if os.geteuid() != 0:
            return cls()
        return (
            cls(prefix=_NAMESPACE) if Program([*_NAMESPACE, "true"]).says() is not None else cls(uid=NOBODY)
        )

    def own(self, directory: Path) -> None:
        """Give it the data, which last time may have been another's."""
        wanted = os.geteuid() if self.uid is None else self.uid
        if directory.stat().st_uid == wanted or os.geteuid() != 0:
            return
        for folder, _, names in os.walk(directory):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                os.chown(path, wanted, wanted, follow_symlinks=False)

    @contextmanager
    def path_to(self, directory: Path) -> Iterator[tuple[str, list[int]]]:
        """How this account calls the directory, and the descriptors that the child must inherit for it."""
        if self.uid is None:
            yield str(directory), []
            return
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}", [descriptor]
        finally:
            os.close(descriptor)

    def programs(self, folder: Path) -> Path:
        """`folder`, or a copy of it where this account cannot get at it."""
        if self.uid is None or Program([folder / "postgres", "--version"], uid=self.uid).says() is not None:
            return folder
        # A wheel's programs look for their libraries beside the package: .../NAME.libs, three folders up.
        package = folder.parents[1]
        digest = hashlib.sha256(f"{package} {folder.stat().st_mtime_ns}".encode()).hexdigest()[:12]
        copy = SHARED / f"postgres-{digest}"
        try:
            if not copy.exists():
                _copy(package, copy)
        except OSError as error:
            raise EmbeddedError(
                f"{folder} is closed to uid {self.uid}, as whom Postgres must run, and cannot be copied to "
                f"{copy}: {error.strerror}; install the system's postgresql package"
            ) from None
        return copy / folder.relative_to(package.parent)


def _copy(package: Path, copy: Path) -> None:
    copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new.", dir=copy.parent) as name:
        fresh = Path(name) / "copy"
        fresh.mkdir(mode=0o755)
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, fresh / part.name, symlinks=True)
        fresh.rename(copy)
