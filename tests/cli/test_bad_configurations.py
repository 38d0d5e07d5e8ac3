"""Whatever a configuration holds, the answer is one line and exit code 2, and no secret."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from leaderjobs.cli import main
from leaderjobs.config import load
from leaderjobs.errors import ConfigError
from tests.configurations import GOOD, SECRET

LINES = GOOD.splitlines(keepends=True)
VALUES = [
    "0",
    "-1",
    "257",
    "1" + "0" * 400,
    "9.5",
    "inf",
    "nan",
    "true",
    '""',
    '"\\u0000"',
    '"\\n[x]"',
    '"house"',
    '"postgresql://a:b"',
    "'''a\nb'''",
    "[]",
    '["accounts", "accounts"]',
    '["accounts", 5]',
    "[[[]]]",
    "{}",
    '{ env = "" }',
    '{ env = "A", file = "b" }',
    '{ file = "~nobody-here/x" }',
    "{ a = { b = { c = 1 } } }",
    "1979-05-27",
    "07:32:00",
    "1979-05-27T07:32:00Z",
    '"9' + "9" * 400 + 's"',
    '"1s"',
    '"100d"',
]
# The secret in shapes that are refused, so that the refusal has something to hide.
KEPT = [
    f'["{SECRET}"]',
    f'{{ value = "{SECRET}" }}',
    f'{{ env = "A", literal = "{SECRET}" }}',
    f'"mysql://ann:{SECRET}@db/acme"',
    f'"postgresql:/ann:{SECRET}@db/acme"',
    f'"postgresql://ann:{SECRET}"',
    f'"zookeeper://ann:{SECRET}@zk:0/"',
]
SECRET_KEYS = ("coordinator", "database", "client_id", "secret", "access_token")
INSERTED = ["\0", "\x1b[31m", "\ufeff", "\u2028", '"', "'''", "[", "]", "[[a]]", "{", "=", "\\", "#", "\n"]
VARIABLES = [
    "CLUSTER_NAME",
    "CLUSTER_DATABASE",
    "CLUSTER_CONCURRENCY",
    "CLUSTER_X",
    "SYNCS_HOUSEHOLD_STREAMS",
    "CONNECTIONS_A_B",
    "SYNCS_",
]


def _with_value(draw: st.DrawFn, lines: list[str]) -> None:
    at = draw(st.sampled_from([at for at, line in enumerate(lines) if "=" in line]))
    lines[at] = f"{lines[at].partition('=')[0]}= {draw(st.sampled_from(VALUES))}\n"


def _with_secret(draw: st.DrawFn, lines: list[str]) -> None:
    secret = [at for at, line in enumerate(lines) if line.split(" ")[0] in SECRET_KEYS]
    assume(secret)
    at = draw(st.sampled_from(secret))
    lines[at] = f"{lines[at].partition('=')[0]}= {draw(st.sampled_from(KEPT))}\n"


def _with_key(draw: st.DrawFn, lines: list[str]) -> None:
    key = draw(st.text(st.characters(codec="utf-8", exclude_characters='"\\'), max_size=80))
    at = draw(st.integers(0, len(lines)))
    lines.insert(at, draw(st.sampled_from([f'"{key}" = 1\n', f'["{key}"]\n', f'[syncs."{key}"]\n'])))


def _without_line(draw: st.DrawFn, lines: list[str]) -> None:
    del lines[draw(st.integers(0, len(lines) - 1))]


def _with_line_twice(draw: st.DrawFn, lines: list[str]) -> None:
    lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(lines)))


def _with_text(draw: st.DrawFn, lines: list[str]) -> None:
    at = draw(st.integers(0, len(lines) - 1))
    inside = draw(st.integers(0, len(lines[at])))
    # Not inside the secret: half of it is not the secret any more.
    assume(SECRET not in lines[at])
    text = draw(st.one_of(st.sampled_from(INSERTED), st.text(max_size=10)))
    lines[at] = lines[at][:inside] + text + lines[at][inside:]


MUTATIONS = [_with_value, _with_secret, _with_key, _without_line, _with_line_twice, _with_text]


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """The good file after one to three changes, or bytes that never were one."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode())))
    lines = list(LINES)
    for mutate in draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        mutate(draw, lines)
    raw = "".join(lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(min_size=1, max_size=4)) + raw[at:]
    return raw


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "leaderjobs.toml"


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(
    raw=spoiled(),
    environ=st.dictionaries(
        st.sampled_from(VARIABLES).map(lambda name: f"LEADERJOBS_{name}"),
        st.one_of(
            st.sampled_from(["0", "a,b", "x y", '"', f"mysql://ann:{SECRET}@db"]),
            st.text(st.characters(min_codepoint=1, codec="utf-8")),
        ),
        max_size=1,
    ),
)
def test_bad_configuration_is_one_line_and_exit_code_2(
    path: Path, raw: bytes, environ: dict[str, str]
) -> None:
    """Hundreds of them; a change that leaves a good configuration does not count."""
    path.write_bytes(raw)
    path.chmod(0o600)
    try:
        load(path, environ)
        bad = False
    except ConfigError:
        bad = True
    assume(bad)

    result = CliRunner().invoke(main, ["--config", str(path), "enqueue", "household"], env=dict(environ))

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("leaderjobs: ")
    assert result.stderr.removesuffix("\n").isprintable()
    assert SECRET not in result.stderr
