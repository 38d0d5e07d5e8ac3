"""What is assumed of this machine and of the configuration on it, judged; every function is one check."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leaderjobs.engine.doctor import Check, failed, ok, skipped, warning
from leaderjobs.errors import ConfigError
from leaderjobs.model.finding import Finding
from leaderjobs.values import Secret, hide_passwords

LOW_DISK_BYTES = 1024**3
FULL_DISK_BYTES = 100 * 1024**2
"""With less, replicas and the embedded servers' data may not be written any more."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the configuration says of this machine."""

    config: Path | None
    """The file that was read; None where there was none."""
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    """By the name of their setting."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """The program of each hook that runs one."""
    state_directory: Path = Path()
    embedded_directory: Path | None = None
    """Where the embedded servers keep their data, where one of them is used."""

    def checks(self) -> list[Check]:
        """In the order they are shown."""
        return [
            Check("machine.secrets", self._secrets),
            Check("machine.config_file", self._config_file),
            Check("machine.state_directory", self._state_directory),
            Check("machine.disk", self._disk),
            Check("machine.hooks", self._hooks),
        ]

    def _secrets(self) -> Iterator[Finding]:
        check = "machine.secrets"
        unreadable = False
        for name, secret in self.secrets.items():
            try:
                secret.reveal()
            except ConfigError as error:
                unreadable = True
                yield failed(check, f"{name}: {error}", "set it for every member, with the user that runs it")
                continue
            mode = _mode(secret.file) if secret.file is not None else None
            if mode is not None and mode & stat.S_IROTH:
                yield warning(
                    check,
                    f"{name}: everybody on this machine may read {secret.file}",
                    f"chmod o= {secret.file}",
                )
        if not unreadable:
            yield ok(check, f"all secrets can be read: {len(self.secrets)}")

    def _config_file(self) -> Iterator[Finding]:
        check = "machine.config_file"
        if self.config is None:
            yield skipped(check, "there is no configuration file, everything has its default")
            return
        mode = _mode(self.config)
        literal = [name for name, secret in self.secrets.items() if _is_secret_literal(secret)]
        if mode is not None and mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield warning(
                check,
                f"others may change {self.config}, and so say whom to send your credentials to",
                f"chmod go-w {self.config}",
            )
        elif literal and mode is not None and mode & (stat.S_IRGRP | stat.S_IROTH):
            yield warning(
                check,
                f"others may read {self.config} (mode {mode & 0o777:04o}), which holds {', '.join(literal)}",
                f"chmod 600 {self.config}",
            )
        else:
            yield ok(check, f"{self.config} keeps what it holds")

    def _state_directory(self) -> Iterator[Finding]:
        check, wanted = "machine.state_directory", self.state_directory
        there = _nearest(wanted)
        try:
            if there == wanted:
                with tempfile.TemporaryFile(dir=there):
                    pass
            elif not os.access(there, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            yield failed(
                check,
                f"{there} cannot be written: {error.strerror}; a member keeps its replica there",
                "set cluster.state_directory to a place that its user may write",
            )
        else:
            yield ok(check, f"{wanted} can be {'written' if there == wanted else 'made'}")

    def _disk(self) -> Iterator[Finding]:
        check = "machine.disk"
        places = {"the state directory": self.state_directory}
        if self.embedded_directory is not None:
            places["the embedded servers"] = self.embedded_directory
        for what, place in places.items():
            free = shutil.disk_usage(_nearest(place)).free
            told = f"{free / 1024**2:,.0f} MiB are free for {what} ({place})"
            if free < FULL_DISK_BYTES:
                yield failed(check, told, "make room there, or move it")
            elif free < LOW_DISK_BYTES:
                yield warning(check, told, "make room there, or move it")
            else:
                yield ok(check, told)

    def _hooks(self) -> Iterator[Finding]:
        check = "machine.hooks"
        missing = {hook: program for hook, program in self.commands.items() if shutil.which(program) is None}
        for hook, program in missing.items():
            yield failed(
                check,
                f"hooks.{hook}.command: {program} is no program that can be run",
                "install it on every machine, or give its whole path",
            )
        if not missing:
            yield ok(check, f"all commands can be run: {len(self.commands)}")


def _nearest(path: Path) -> Path:
    """The directory itself, or the nearest above it that is there."""
    return next((each for each in (path, *path.parents) if each.is_dir()), Path("/"))


def _mode(path: Path) -> int | None:
    """None where it cannot be looked at, which is said elsewhere."""
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _is_secret_literal(secret: Secret) -> bool:
    """Whether the file itself holds something secret; a URL without a password is not."""
    if secret.literal is None:
        return False
    return "://" not in secret.literal or hide_passwords(secret.literal) != secret.literal
