"""What destination tables and columns are called, whatever a provider calls them.

Every name is quoted when it is used, so spaces, quotes, percent signs and capitals are names like any other.
Only what Postgres cannot hold, or what is taken, is changed, and always in the same way: the same member of
a document has the same column for ever, whatever other members come or go.
"""

from __future__ import annotations

import hashlib
import re

from leaderjobs.errors import Refused

MOST_NAME_BYTES = 63
"""Postgres cuts longer names in silence, and two could become one."""
VIEW_ENDING = "_current"
OWN_COLUMNS = {
    "cluster": "The leaderjobs cluster that pulled the row",
    "connection": "The account at the third party",
    "id": "The row's key at the third party",
    "doc": "The row as it came",
    "ord": "The order key of the version that is stored; an older version never takes its place",
    "deleted_at": "When the row was found gone at the third party; empty while it is there",
    "synced_at": "When the row last changed here",
}
_SYSTEM_COLUMNS = ("tableoid", "cmin", "cmax", "xmin", "xmax", "ctid")
_TAKEN = re.compile(rf"(?:{'|'.join((*OWN_COLUMNS, *_SYSTEM_COLUMNS))})?_*")
_OWN_SCHEMAS = frozenset({"leaderjobs", "information_schema", "public"})
_HASH_CHARS = 12
_CUT = re.compile(rf".*_[0-9a-f]{{{_HASH_CHARS}}}", re.DOTALL)
_SHORTEST_CUT_BYTES = MOST_NAME_BYTES - 3
"""A cut falls between two characters, and one has up to four bytes."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def column_name(name: str) -> str:
    """The column in which a member called `name` is found.

    A name that is taken (our own columns, Postgres's, none at all) gets an underscore, and so does the name
    that it takes thereby; one that is too long is cut and ends in a hash of the whole.

    >>> column_name("id"), column_name("id_"), column_name("Id"), column_name("")
    ('id_', 'id__', 'Id', '_')
    """
    name = stored(name)
    return cut(name + "_" if _TAKEN.fullmatch(name) else name)


def cut(name: str, ending: str = "") -> str:
    """`name` and `ending` in at most MOST_NAME_BYTES: too long a name ends in a hash of the whole.

    A name that looks as if it had been cut is cut as well, so that no name can pass for another's.

    >>> cut("x" * 70)
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_c71bd109227e'
    """
    whole = (name + ending).encode()
    looks_cut = len(whole) >= _SHORTEST_CUT_BYTES and _CUT.fullmatch(name + ending)
    if len(whole) <= MOST_NAME_BYTES and not looks_cut:
        return name + ending
    digest = _hash(name + ending)
    room = MOST_NAME_BYTES - len(ending.encode()) - len(digest) - 1
    return f"{name.encode()[:room].decode(errors='ignore')}_{digest}{ending}"


def index_name(table: str, column: str) -> str:
    """The index of a column, where another table's name and column could be put together to the same."""
    return cut(f"{table}_{column}", f"_{_hash(f'{len(table)} {table} {column}')}_idx")


def stored(text: str) -> str:
    """`text` as jsonb holds it: what Postgres cannot store is U+FFFD in documents, and in their readers."""
    return _UNSTORABLE.sub("\ufffd", text)


def check(schema: str, tables: list[str]) -> None:
    """Refused when a schema or table cannot be called so, or one table's name is that of another's view."""
    for name in (schema, *tables, *(table + VIEW_ENDING for table in tables)):
        if not name or stored(name) != name or len(name.encode()) > MOST_NAME_BYTES:
            raise Refused(
                f"{stored(name)[:MOST_NAME_BYTES]!r} cannot name a schema, table or view: "
                f"1 to {MOST_NAME_BYTES} bytes"
            )
    if schema in _OWN_SCHEMAS or schema.startswith("pg_"):
        raise Refused(f"{schema} cannot be the schema of a connector's tables; it is taken")
    for table in tables:
        if table + VIEW_ENDING in tables:
            raise Refused(
                f"{schema}.{table + VIEW_ENDING} would be a table and the view of {table}; rename a stream"
            )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARS]
