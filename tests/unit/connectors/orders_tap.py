"""A Singer tap for tests, of the standard library alone: `orders` from a file, and every way to go wrong.

The file has a line for each row: its number in the order of changes, a tab, and the row as JSON, which is
passed on to the digit. What the tap does is in its configuration; each run leaves a line beside the file.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "amount": {"type": ["null", "number"], "description": "In euros"},
        "placed_at": {"type": ["null", "string"], "format": "date-time"},
        "paid": {"type": ["null", "boolean"]},
        "lines": {"type": ["null", "array"]},
    },
}
CHILD = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"


class Options:
    """What the command line names, as far as the tap has been told."""

    def __init__(self, words: list[str]) -> None:
        self.discover = "--discover" in words
        self.paths = {name[2:]: Path(words[words.index(name) + 1]) for name in words if name in FILES}
        self.config: dict[str, Any] = self.read("config")
        self.source = Path(self.config["source"])

    def read(self, name: str) -> Any:
        return json.loads(self.paths[name].read_text()) if name in self.paths else {}


FILES = ("--config", "--catalog", "--state")


def put(text: str) -> None:
    """A line of output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(message: dict[str, Any]) -> None:
    """A message on a line."""
    put(json.dumps(message))


def warn(text: str) -> None:
    """A line for people."""
    sys.stderr.write(text + "\n")


def main() -> int:
    options = Options(sys.argv[1:])
    config = options.config
    note(options)
    if config["token"] != "let-me-in":
        warn(f"CRITICAL 401: the token {config['token']} is not accepted")
        return 1
    if options.discover:
        put("1" if config.get("trouble") == "garbled" else json.dumps(catalog(config), indent=1))
        return 0
    for found in options.read("catalog")["streams"]:
        if found["metadata"][0]["metadata"]["selected"]:
            Run(options, found["tap_stream_id"]).all()
    return 0


def note(options: Options) -> None:
    """What a run looks like from inside."""
    about = {
        "pid": os.getpid(),
        "discover": options.discover,
        "state": options.read("state") if "state" in options.paths else None,
        "modes": {
            str(path): stat.S_IMODE(path.stat().st_mode)
            for file in options.paths.values()
            for path in (file, file.parent)
        },
        "words": sys.argv,
        "environment": dict(os.environ),
        "selected": [
            found["tap_stream_id"]
            for found in options.read("catalog").get("streams", [])
            if found["metadata"][0]["metadata"]["selected"]
        ],
    }
    with options.source.with_suffix(".runs").open("a") as file:
        file.write(json.dumps(about) + "\n")


def catalog(config: dict[str, Any]) -> dict[str, Any]:
    return {"streams": [entry(name, config) for name in ("orders", "shops", "empty")]}


def entry(name: str, config: dict[str, Any]) -> dict[str, Any]:
    method = config.get("method", "INCREMENTAL")
    root = {"inclusion": "available", "selected": False, "forced-replication-method": method}
    return {
        "tap_stream_id": name,
        "stream": name,
        "schema": SCHEMA,
        "metadata": [
            {"breadcrumb": [], "metadata": root},
            {"breadcrumb": ["properties", "id"], "metadata": {"inclusion": "automatic"}},
        ],
    }


class Run:
    """One stream, from where the state stands."""

    def __init__(self, options: Options, name: str) -> None:
        self.config, self.name = options.config, name
        self.source = options.source
        self.bookmark: dict[str, Any] = options.read("state").get("bookmarks", {}).get(name, {})
        self.full = self.config.get("method") == "FULL_TABLE"
        self.versions: bool = self.config.get("versions", False)
        self.version = None
        if self.versions:
            runs = len(options.source.with_suffix(".runs").read_text().splitlines())
            self.version = self.bookmark.get("version") or self.config.get("version", runs)

    def all(self) -> None:
        if self.config.get("schema", True):
            self.schema(SCHEMA)
        if self.versions and self.config.get("early"):
            say({"type": "ACTIVATE_VERSION", "stream": self.name, "version": self.version})
        number, sequence = 0, self.bookmark.get("seq", 0)
        for number, (sequence, text) in enumerate(self.rows(), start=1):
            self.trouble(number)
            self.record(text)
            if number % self.config.get("state_every", 10) == 0:
                self.state(sequence)
        self.trouble(number + 1)
        self.state(None if self.full else sequence)
        if self.versions and not self.config.get("never"):
            say({"type": "ACTIVATE_VERSION", "stream": self.name, "version": self.version})

    def rows(self) -> Iterator[tuple[int, str]]:
        if self.name == "shops":
            yield from ((number, json.dumps({"id": f"shop-{number}"})) for number in range(3))
        if self.name != "orders":
            return
        lines = [line.split("\t") for line in self.source.read_text().splitlines()]
        after = self.bookmark.get("seq", 0) if self.versions or not self.full else 0
        for sequence, text in sorted((int(number), text) for number, text in lines):
            if sequence > after and not (self.full and "_sdc_deleted_at" in text):
                yield sequence, text

    def schema(self, schema: dict[str, Any]) -> None:
        key = self.config.get("key", ["id"])
        say({"type": "SCHEMA", "stream": self.name, "schema": schema, "key_properties": key})

    def record(self, text: str) -> None:
        version = "" if self.version is None else f', "version": {self.version}'
        put(f'{{"type": "RECORD", "stream": "{self.name}", "record": {text}{version}}}')

    def state(self, sequence: int | None) -> None:
        """With where to go on; without, all has come and the next run begins again."""
        version = {"version": self.version} if self.versions else {}
        self.bookmark = {} if sequence is None else {"seq": sequence} | version
        say({"type": "STATE", "value": {"bookmarks": {self.name: self.bookmark}}})

    def trouble(self, number: int) -> None:
        if self.name == "orders" and number == self.config.get("at", 1) and self.config.get("trouble"):
            TROUBLES[self.config["trouble"]](self)


def crash(run: Run) -> None:
    warn(f"Traceback: no luck with {run.config['token']}")
    sys.exit(3)


def hang(run: Run) -> None:
    say({"type": "STATE", "value": {"hanging": True}})
    signal.pause()


def stubborn(run: Run) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    family(run)


def family(run: Run) -> None:
    """A child that ignores SIGTERM, and itself hangs."""
    orphan(run)
    hang(run)


def orphan(run: Run) -> None:
    """A child that holds our output open and stays behind when we end."""
    import subprocess  # Late, for most runs do not need it and start sooner.

    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", CHILD], stdout=subprocess.PIPE, pass_fds=[1])
    assert child.stdout is not None
    child.stdout.readline()
    run.source.with_suffix(".child").write_text(str(child.pid))
    child.returncode = 0


def chatter(run: Run) -> None:
    warn(run.config["long"] * 100)
    for number in range(5000):
        warn(f"line {number} {'x' * 300}")


def giant(run: Run) -> None:
    del run
    put('{"type": "' + "x" * 17_000_000 + '"}')


def drift(run: Run) -> None:
    """Members that nobody knew, and one whose type has changed."""
    properties = SCHEMA["properties"] | {"amount": {"type": "string"}, "colour": {"type": "string"}}
    run.schema(SCHEMA | {"properties": properties})


def write(text: str) -> Callable[[Run], None]:
    return lambda _: put(text)


TROUBLES: dict[str, Callable[[Run], None]] = {
    "crash": crash,
    "hang": hang,
    "stubborn": stubborn,
    "family": family,
    "orphan": orphan,
    "chatter": chatter,
    "drift": drift,
    "giant": giant,
    "print": write("Hello let-me-in"),
    "nan": write('{"type": "RECORD", "stream": "orders", "record": {"id": "secret-value", "amount": NaN}}'),
    "list": write('{"type": "RECORD", "stream": "orders", "record": [1]}'),
    "untyped": write('{"stream": "orders"}'),
    "batch": write('{"type": "BATCH", "stream": "orders", "manifest": ["file:///x"]}'),
    "unknown": write('{"type": "FUTURE", "what": 1}\n\n'),
    "states": write('{"type": "STATE", "value": {"of": "' + "x" * 70_000 + '"}}'),
    "digits": write('{"type": "STATE", "value": {"at": 1.234567890123456789012, "n": 12345678901234567890}}'),
}

if __name__ == "__main__":
    sys.exit(main())
