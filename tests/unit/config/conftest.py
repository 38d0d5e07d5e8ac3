"""A configuration that loads, and a way to load a changed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from leaderjobs.config import Settings, load
from leaderjobs.errors import ConfigError
from tests.configurations import GOOD


@pytest.fixture
def load_text(tmp_path: Path) -> Callable[..., Settings]:
    """Loads a text as a file that only its owner may read."""

    def load_text(text: str, environ: Mapping[str, str] | None = None) -> Settings:
        path = tmp_path / "leaderjobs.toml"
        path.write_text(text)
        path.chmod(0o600)
        return load(path, environ or {})

    return load_text


@pytest.fixture
def complaint(load_text: Callable[..., Settings], tmp_path: Path) -> Callable[..., str]:
    """The complaint about the good configuration with `old` replaced by `new`, without the folder."""

    def complaint(old: str, new: str, environ: Mapping[str, str] | None = None) -> str:
        assert old in GOOD
        with pytest.raises(ConfigError) as raised:
            load_text(GOOD.replace(old, new, 1), environ)
        return str(raised.value).removeprefix(f"{tmp_path}/")

    return complaint
