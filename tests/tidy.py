"""The house rules that no linter knows; each takes the root of a tree and gives its complaints.

A complaint says where and what to do instead. There is no list of exceptions: a rule that is wrong is
changed, in the commit that shows why.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 60
SOURCES = ("leaderjobs", "tests", "benchmarks")
UNFINISHED = re.compile(r"\b(?:FIXME|TODO|XXX)\b")
# Upper case, as the house writes SQL: the same words in lower case are English.
STATEMENT = re.compile(
    r"\b(?:SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|TRUNCATE\s|LOCK\s+TABLE\s"
    r"|(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+|UNIQUE\s+)?(?:TABLE|INDEX|SCHEMA|VIEW|FUNCTION|TYPE|TRIGGER)\s)"
)
COMMENT = re.compile(r"--[^\n]*")
LITERAL = re.compile(r"'(?:[^']|'')*'")
NAIVE = re.compile(r"\btimestamp\b(?!\s*(?:\(\d\)\s*)?with\s+time\s+zone)", re.IGNORECASE)
NAMED = re.compile(r"^--\s*name:\s*(\w+)", re.MULTILINE)
INSTEAD = {
    ("time", "sleep"): "wait on an Event or a Condition with a timeout",
    ("time", "monotonic"): "leaderjobs.clock.elapsed(), which goes on while the machine is suspended",
}


def long_files(root: Path) -> list[str]:
    """Files that have become the attic."""
    return [
        f"{_at(root, path)}: {lines} lines; split it by noun into files of at most {MOST_FILE_LINES}"
        for path in _python(root)
        if (lines := len(path.read_text().splitlines())) > MOST_FILE_LINES
    ]


def long_functions(root: Path) -> list[str]:
    """Functions that no screen shows whole."""
    return [
        f"{_at(root, path, node)}: {node.name} has {lines} lines; split it into steps of at most {MOST_FUNCTION_LINES}"
        for path, node in _nodes(root)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MOST_FUNCTION_LINES
    ]


def statements_in_python(root: Path) -> list[str]:
    """SQL that a reader of store/sql would not find; what a page of DDL is generated from counts too."""
    return [
        f"{_at(root, path, node)}: SQL in Python; name it in leaderjobs/store/sql/*.sql"
        for path, node in _nodes(root, "leaderjobs")
        if STATEMENT.search(_text(node))
    ]


def quoted_placeholders(root: Path) -> list[str]:
    """`'%(x)s seconds'` is sent as `'$1 seconds'`, in which Postgres sees no parameter and no error."""
    return [
        f"{_at(root, path)}: a placeholder inside quotes: {literal}; use make_interval or a cast"
        for path in _sql(root)
        for literal in LITERAL.findall(_uncommented(path))
        if "%(" in literal
    ]


def naive_timestamps(root: Path) -> list[str]:
    """`timestamp` forgets the zone."""
    return [
        f"{_at(root, path)}: timestamp without time zone; use timestamptz"
        for path in _sql(root)
        if NAIVE.search(LITERAL.sub("''", _uncommented(path)))
    ]


def unused_statements(root: Path) -> list[str]:
    """Named statements that no Python of the store mentions."""
    python = "\n".join(path.read_text() for path in (root / "leaderjobs" / "store").rglob("*.py"))
    return [
        f"{_at(root, path)}: {name} is used nowhere in leaderjobs/store; remove it"
        for path in _sql(root)
        for name in NAMED.findall(path.read_text())
        if not re.search(rf"\b{name}\b", python)
    ]


def prints(root: Path) -> list[str]:
    """Output that does not come from the command line."""
    return [
        f"{_at(root, path, node)}: print() outside cli; log it, or return it to the command"
        for path, node in _nodes(root, "leaderjobs")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if "cli" not in path.relative_to(root).parts
    ]


def banned_calls(root: Path) -> list[str]:
    """`time.sleep` anywhere, `time.monotonic` in the product."""
    return [
        f"{_at(root, path, node)}: {node.value.id}.{node.attr}; instead: {INSTEAD[node.value.id, node.attr]}"
        for path, node in _nodes(root)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) in INSTEAD
        if node.attr == "sleep" or path.relative_to(root).parts[0] == "leaderjobs"
    ]


def unfinished(root: Path) -> list[str]:
    """Notes to oneself."""
    python = (
        f"{_at(root, path)}:{token.start[0]}: {token.string}; do it now, or open an issue"
        for path in _python(root)
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.COMMENT and UNFINISHED.search(token.string)
    )
    sql = (
        f"{_at(root, path)}: {comment}; do it now, or open an issue"
        for path in _sql(root)
        for comment in COMMENT.findall(path.read_text())
        if UNFINISHED.search(comment)
    )
    return [*python, *sql]


def empty_folders(root: Path) -> list[str]:
    """Rooms without furniture: made for later, or left behind by a move."""
    return [
        f"{_at(root, folder)}: an empty package; remove it until it holds something"
        for source in SOURCES
        for folder in sorted((root / source).rglob("*"))
        if folder.is_dir() and folder.name != "__pycache__"
        if {path.name for path in folder.iterdir()} <= {"__init__.py"}
    ]


def unmentioned_commands(root: Path, commands: list[str]) -> list[str]:
    """Commands that the README keeps to itself; without a README there is nothing to compare."""
    readme = root / "README.md"
    text = readme.read_text() if readme.exists() else " ".join(f"leaderjobs {name}" for name in commands)
    return [
        f"README.md: `leaderjobs {name}` is not mentioned; document it beside its neighbours"
        for name in commands
        if not re.search(rf"\bleaderjobs {name}\b", text)
    ]


def _python(root: Path, *sources: str) -> Iterator[Path]:
    for source in sources or SOURCES:
        yield from sorted((root / source).rglob("*.py"))


def _sql(root: Path) -> Iterator[Path]:
    yield from sorted((root / "leaderjobs" / "store").rglob("*.sql"))


def _nodes(root: Path, *sources: str) -> Iterator[tuple[Path, ast.AST]]:
    for path in _python(root, *sources):
        for node in _nodes_of(path.read_text()):
            yield path, node


@functools.cache
def _nodes_of(text: str) -> tuple[ast.AST, ...]:
    """Once for all rules: most of their time would go into parsing."""
    elsewhere: set[ast.expr] = set()
    found = []
    for node in ast.walk(ast.parse(text)):
        # A string that stands alone documents what is before it.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            elsewhere.add(node.value)
        if isinstance(node, ast.JoinedStr):
            elsewhere.update(node.values)
        if node not in elsewhere:
            found.append(node)
    return tuple(found)


def _text(node: ast.AST) -> str:
    """The text of a string, with a word in the place of each value of an f-string."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "value" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _uncommented(path: Path) -> str:
    return COMMENT.sub("", path.read_text())


def _at(root: Path, path: Path, node: ast.AST | None = None) -> str:
    line = f":{node.lineno}" if isinstance(node, ast.stmt | ast.expr) else ""
    return f"{path.relative_to(root)}{line}"
