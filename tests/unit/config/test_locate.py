"""A key is found on the line on which a person sees it."""

from __future__ import annotations

import tomllib

import pytest

from leaderjobs.config.locate import Lines

DOCUMENT = '''\
top = 1 # [not.a.table]
[cluster]   # a comment
name = "a # b"
text = """
name = "inside a string"
[neither]
""" # after
'literal key' = \'\'\'
x = 2\'\'\'
list = [
  "a", # ]
  { inner = 1 },
  [2, 3],
]
last = true

[connections."house.hold"]
secret = { env = "A", more.deep = [1,
  2] }
dotted . "quoted\\tkey" = 1979-05-27
[[array]]
x = 1
[connections.other]
url = "quote \\" inside" '''

LINES = {
    ("top",): 1,
    ("cluster",): 2,
    ("cluster", "name"): 3,
    ("cluster", "text"): 4,
    ("cluster", "literal key"): 8,
    ("cluster", "list"): 10,
    ("cluster", "list", "inner"): 12,
    ("cluster", "last"): 15,
    ("connections",): 17,
    ("connections", "house.hold", "secret"): 18,
    ("connections", "house.hold", "secret", "env"): 18,
    ("connections", "house.hold", "secret", "more", "deep"): 18,
    ("connections", "house.hold", "dotted", "quoted\tkey"): 20,
    ("array", "x"): 22,
    ("connections", "other"): 23,
    ("connections", "other", "url"): 24,
}


@pytest.mark.parametrize(("path", "line"), LINES.items())
def test_key_is_found_on_its_line(path: tuple[str, ...], line: int) -> None:
    tomllib.loads(DOCUMENT)

    assert Lines(DOCUMENT).of(path) == line


def test_missing_key_is_placed_at_its_table() -> None:
    assert Lines(DOCUMENT).of(("connections", "other", "secret")) == 23


def test_key_of_no_table_has_no_line() -> None:
    assert Lines(DOCUMENT).of(("syncs",)) is None


def test_nesting_beyond_the_stack_keeps_the_lines_before_it() -> None:
    lines = Lines("[a]\nb = 1\nc = " + "[" * 100_000 + "\n")

    assert lines.of(("a", "b")) == 2


@pytest.mark.parametrize("text", ["a", "=", '"', "[", "[[a", "a = {", "a = [1,", "a.", "a = "])
def test_text_that_is_no_toml_is_no_error(text: str) -> None:
    assert Lines(text).of(("missing",)) is None
