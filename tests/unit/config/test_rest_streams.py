"""`[connections.NAME.streams.STREAM]`: a complaint names line, key and value, says what is allowed, no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderjobs import config
from leaderjobs.connectors import registry
from leaderjobs.connectors.rest.settings import RestSettings
from leaderjobs.errors import ConfigError

PLAIN = {"path": '"/items"', "key": '"id"'}


def load(tmp_path: Path, where: str, lines: str) -> config.Settings:
    """A connection with two streams, of which `items` (or the connection, or its name) is as told."""
    stream = lines if where == "stream" else ""
    own = [f"{key} = {value}" for key, value in PLAIN.items() if f"\n{key} =" not in f"\n{stream}"]
    parts = [
        '[connections.shop]\nconnector = "rest"\nbase_url = "https://api.example.com"',
        lines if where == "connection" else "",
        '[connections.shop.streams.others]\npath = "/others"\nkey = "id"',
        f"[connections.shop.streams.{lines if where == 'name' else 'items'}]",
        *own,
        stream,
    ]
    file = tmp_path / "leaderjobs.toml"
    file.write_text("\n".join(parts))
    file.chmod(0o600)
    return config.load(file, {})


@pytest.mark.parametrize(
    ("where", "lines", "said"),
    [
        ("stream", "deleted = 5",
         "deleted = 5: allowed: a table"),
        ("connection", 'auth = { kind = "token" }',
         'auth.kind = "token": allowed: "basic", "bearer", "header", "oauth_client_credentials", "query"'),
        ("connection", 'auth = { kind = "bearer" }',
         'auth: token is missing; kind = "bearer" needs token'),
        ("connection", 'auth = { kind = "bearer", token = "" }',
         'auth.token = ***: allowed: a non-empty string, { env = "NAME" } or { file = "/path" }'),
        ("connection", 'auth = { kind = "bearer", token = "x", username = "hunter2" }',
         'auth.username = ***: allowed: not with kind = "bearer"'),
        ("connection", 'auth = { kind = "basic", password = "hunter2" }',
         'auth: username is missing; kind = "basic" needs username'),
        ("connection", 'auth = { kind = "header", name = "X Y", value = "hunter2" }',
         'auth.name = "X Y": allowed: the name of a header, such as "X-Api-Key"'),
        ("connection", 'auth = { kind = "header", name = "Host", value = "hunter2" }',
         'auth.name = "Host": allowed: the name of a header, such as "X-Api-Key"'),
        ("connection", 'auth = { kind = "query", name = "a=b", value = "hunter2" }',
         'auth.name = "a=b": allowed: the name of a parameter, such as "api_key"'),
        ("connection", 'auth = { kind = "oauth_client_credentials", client_id = "x" }',
         'auth: token_url is missing; kind = "oauth_client_credentials" needs token_url, client_id, clien'),
        ("connection", 'auth = { kind = "oauth_client_credentials", token_url = "http://a.example/t", client_id = "x", client_secret = "hunter2" }',
         'auth.token_url = "http://a.example/t": allowed: "https://HOST[:PORT][/PATH]" without user, pass'),
        ("connection", 'auth = { kind = "bearer", token = "x", colour = "red" }',
         "auth.colour: unknown key; allowed: kind, token, username, password, name, value, token_url, cli"),
        ("connection", 'auth = { kind = "bearer", token = "x" }\nheaders = { authorization = "hunter2" }',
         "headers = ***: allowed: not Authorization beside auth, which writes it"),
        ("connection", 'schema = "public"',
         'schema = "public": allowed: up to 63 small letters, digits and underscores, but not pg_…, infor'),
        ("connection", 'schema = "pg_x"',
         'schema = "pg_x": allowed: up to 63 small letters, digits and underscores, but not pg_…, informa'),
        ("connection", 'schema = "Acme"',
         'schema = "Acme": allowed: up to 63 small letters, digits and underscores, but not pg_…, informa'),
        ("connection", 'rate_limit = "fast"',
         'rate_limit = "fast": allowed: a whole number per s, min or h, such as "50/min"'),
        ("connection", "most_pages = 0",
         "most_pages = 0: allowed: 1 to 10000000"),
        ("connection", 'timeout = "2m"',
         'timeout = "2m": allowed: more than "0s", up to "80s"'),
        ("stream", 'path = "issues"',
         'path = "issues": allowed: a path from base_url on, such as "/orgs/{parent.id}/members"'),
        ("stream", 'path = "/a b"',
         'path = "/a b": allowed: a path from base_url on, such as "/orgs/{parent.id}/members"'),
        ("stream", 'path = "/x/{id}"',
         'path = "/x/{id}": allowed: in braces: nothing'),
        ("stream", 'path = "/x/{"',
         "path: '/x/{' has a brace that belongs to no name; write {{ or }} for one"),
        ("stream", 'path = "/x/{parent.id}"',
         "path: {parent.id} needs parent, the name of a stream"),
        ("stream", 'method = "PUT"',
         'method = "PUT": allowed: "GET", "POST"'),
        ("stream", "body = { a = 1 }",
         'body = a table: allowed: only with method = "POST"'),
        ("stream", 'method = "POST"\nbody = { a = 1.5 }',
         "body: 1.5 is neither a text, a whole number, true or false; give it as an argument"),
        ("stream", 'method = "POST"\nbody = { a = "{since}" }',
         "body = a table: allowed: in braces: nothing"),
        ("stream", "parameters = { a = 1.5 }",
         "parameters: a: allowed: a text, a whole number, true or false, or a list of them"),
        ("stream", "parameters = { a = { b = 1 } }",
         "parameters: a: allowed: a text, a whole number, true or false, or a list of them"),
        ("stream", 'parameters = { a = "{nobody}" }',
         "parameters = a table: allowed: in braces: nothing"),
        ("stream", 'headers = { Host = "x" }',
         "headers = a table: allowed: names of headers, such as Authorization, but not: accept-encoding, "),
        ("stream", 'records = "a..b"',
         'records = "a..b": allowed: a dotted path into the answer, such as "data.items"'),
        ("stream", 'missing = "skip"',
         'missing = "skip": allowed: "empty", "fail"'),
        ("stream", 'key = ""',
         'key = "": allowed: the name of a member, such as "id", or a list of different ones'),
        ("stream", "key = []",
         'key = []: allowed: the name of a member, such as "id", or a list of different ones'),
        ("stream", 'key = ["id", "id"]',
         'key = ["id", "id"]: allowed: the name of a member, such as "id", or a list of different ones'),
        ("stream", "key = 5",
         "key = 5: allowed: a string or a list of strings"),
        ("stream", 'colour = "red"',
         "colour: unknown key; did you mean columns? allowed: path, method, parameters, body, headers, re"),
        ("stream", 'parent = "nobody"\npath = "/x/{parent.id}"',
         "parent 'nobody' is no stream; allowed: others"),
        ("stream", 'parent = "items"\npath = "/x/{parent.id}"',
         "more than 3 parents above it, or itself among them"),
        ("stream", 'parent = "others"',
         'parent = "others": allowed: with {parent.MEMBER} in path, parameters or body'),
        ("stream", 'full = "yes"',
         'full = "yes": allowed: true or false'),
        ("stream", "retryable = [401]",
         "retryable = [401]: allowed: statuses from 400 to 499, but not 401 and 429"),
        ("stream", "absent = [200]",
         "absent = [200]: allowed: statuses from 400 to 499, but not 401 and 429"),
        ("stream", 'add = { "" = "x" }',
         "add = a table: allowed: names of members and their texts"),
        ("stream", 'add = { a = "{since}" }',
         "add = a table: allowed: in braces: nothing"),
        ("stream", "columns = { id = {} }",
         "columns = a table: allowed: names of up to 50 small letters, digits and underscores, but not cl"),
        ("stream", "columns = { Name = {} }",
         "columns = a table: allowed: names of up to 50 small letters, digits and underscores, but not cl"),
        ("stream", 'columns = { name = { type = "varchar" } }',
         'columns.name.type = "varchar": allowed: "text", "numeric", "boolean", "date", "timestamptz", "j'),
        ("stream", 'columns = { name = { path = "a." } }',
         'columns.name.path = "a.": allowed: a dotted path into a record, such as "user.login"'),
        ("stream", 'columns = { name = "text" }',
         "columns.name: not a table; write ["),
        ("stream", 'deleted = { member = "" }',
         'deleted.member = "": allowed: a dotted path into a record, such as "deleted_at"'),
        ("stream", 'deleted = { value = "x" }',
         "deleted.value: unknown key; did you mean values? allowed: member, values"),
        ("stream", 'pagination = "link"',
         'pagination = "link": allowed: a table'),
        ("stream", 'pagination = { kind = "pages" }',
         'pagination.kind = "pages": allowed: "cursor", "link_header", "next_url", "none", "offset", "pag'),
        ("stream", 'pagination = { kind = "offset", next = "x" }',
         'pagination.next = "x": allowed: not with kind = "offset"'),
        ("stream", 'pagination = { kind = "cursor", next = "x" }',
         "pagination: parameter is missing; it says what carries the cursor"),
        ("stream", 'pagination = { kind = "cursor", parameter = "c" }',
         "pagination: one of next, header and last is needed; it says where the cursor comes from"),
        ("stream", 'pagination = { kind = "cursor", parameter = "c", next = "x", last = "y" }',
         "pagination: one of next, header and last is needed; it says where the cursor comes from"),
        ("stream", 'pagination = { kind = "cursor", parameter = "a b", next = "x" }',
         'pagination.parameter = "a b": allowed: the name of a parameter, such as "page"'),
        ("stream", 'pagination = { kind = "cursor", parameter = "c", next = "x", into = "body" }',
         'pagination: into = "body" needs method = "POST"'),
        ("stream", 'pagination = { kind = "next_url" }',
         "pagination: next is missing; it says where in an answer the next page's URL is"),
        ("stream", 'pagination = { kind = "next_url", next = "a." }',
         'pagination.next = "a.": allowed: a dotted path into the answer, such as "meta.next"'),
        ("stream", 'pagination = { kind = "page_number", first = 7 }',
         "pagination.first = 7: allowed: 0, 1"),
        ("stream", 'pagination = { kind = "page_number", page_size = 0 }',
         "pagination.page_size = 0: allowed: 1 to 100000"),
        ("stream", 'pagination = { kind = "page_number", size_parameter = "n" }',
         'pagination.size_parameter = "n": allowed: only with page_size'),
        ("stream", 'pagination = { kind = "page_number", short_page_ends = true }',
         "pagination.short_page_ends = true: allowed: only with page_size"),
        ("stream", 'pagination = { kind = "page_number", page_size = 5, short_page_ends = true, total = "t" }',
         "pagination.short_page_ends = true: allowed: without has_more, total and total_pages, which tell"),
        ("stream", 'incremental = { parameter = "since" }',
         "incremental: cursor is missing; allowed: a string"),
        ("stream", 'incremental = { cursor = "a" }',
         "incremental: parameter is missing, or {since} in path, parameters or body"),
        ("stream", 'incremental = { cursor = "a.", parameter = "since" }',
         'incremental.cursor = "a.": allowed: a dotted path into a record, such as "updated_at"'),
        ("stream", 'incremental = { cursor = "a", parameter = "since", format = "iso" }',
         'incremental.format = "iso": allowed: "text", "unix", "unix_ms", "date", "datetime", or a patter'),
        ("stream", 'incremental = { cursor = "a", parameter = "since", format = "%H:%M" }',
         'incremental.format = "%H:%M": allowed: "text", "unix", "unix_ms", "date", "datetime", or a patt'),
        ("stream", 'incremental = { cursor = "a", parameter = "since", row_format = "text" }',
         'incremental.row_format = "text": allowed: "text" with format = "text" only'),
        ("stream", 'incremental = { cursor = "a", parameter = "since", format = "text", look_back = "1d" }',
         'incremental.look_back = "1d": allowed: not with format = "text"'),
        ("stream", 'incremental = { cursor = "a", parameter = "since", format = "text", until_parameter = "u" }',
         'incremental.until_parameter = "u": allowed: not with format = "text"'),
        ("stream", 'incremental = { cursor = "a", parameter = "since", initial = "soon" }',
         'incremental.initial = "soon": allowed: an instant such as 2024-01-31T10:00:00Z'),
        ("stream", 'incremental = { cursor = "a", parameter = "since", look_back = "-1d" }',
         'incremental.look_back = "-1d": allowed: a number and a unit (ms, s, m, h, d), such as "15s" or '),
        ("stream", 'incremental = { cursor = "a", parameter = "since", sorted = "descending" }',
         'incremental.sorted = "descending": allowed: "ascending"'),
        ("stream", 'incremental = { cursor = "a", parameter = "since" }\nfull = true',
         "full = true: allowed: not with incremental, which lists only what is newer"),
        ("stream", 'incremental = { cursor = "a" }\nparameters = { q = "{since}" }',
         "incremental: initial is missing; the first sync has nothing else for {since}"),
        ("stream", 'incremental = { cursor = "a", parameter = "s", format = "text" }\nparent = "others"\npath = "/x/{parent.id}"',
         'incremental: format = "text" is not allowed with a parent; use a time'),
        ("stream", 'incremental = { cursor = "a", parameter = "s", sorted = "ascending" }\nparent = "others"\npath = "/x/{parent.id}"',
         "incremental: sorted is not allowed with a parent: each one begins anew"),
        ("stream", 'parents = [{ a = "x" }]',
         "parents = a list: allowed: tables that all have each {parent.MEMBER} that is used"),
        ("stream", 'parents = [{ a = "x" }, { b = "x" }]\npath = "/x/{parent.a}"', "each {parent.MEMBER} that"),
        ("stream", 'parents = [{ a = 1.5 }]\npath = "/x/{parent.a}"', "tables of texts, whole numbers, true or"),
        ("stream", 'parents = [{ a = 1 }]\nparent = "others"\npath = "/x/{parent.a}"', "not beside parent"),
        ("stream", 'parents = ["a"]\npath = "/x/{parent.a}"', "allowed: a list of tables"),
        ("name", "Issues",
         "streams.Issues: bad name; allowed: up to 50 small letters, digits and underscores"),
        ("name", "_x",
         "streams._x: bad name; allowed: up to 50 small letters, digits and underscores"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_with_what_is(
    tmp_path: Path, where: str, lines: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, where, lines)
    complaint = str(caught.value)
    assert complaint.startswith(f"{tmp_path}/leaderjobs.toml:")
    assert said in complaint
    assert "\n" not in complaint
    assert "hunter2" not in complaint


@pytest.mark.parametrize(
    ("where", "lines"),
    [
        ("connection", 'auth = { kind = "basic", username = "me" }\nschema = "acme"\nmost_pages = 1'),
        ("connection", 'auth = { kind = "query", name = "key", value = { env = "KEY" } }'),
        ("stream", 'key = ["a", "b"]\nfull = false\nabsent = [404]\nretryable = [409]\nmissing = "empty"'),
        ("stream", 'records = "data.*.item"\ncolumns = { name = {}, at = { type = "jsonb", path = "a.0.b" } }'),
        ("stream", 'parameters = { a = 1, b = true, c = ["x", "y"], d = "{{}}" }'),
        ("stream", 'parents = [{ a = "x", b = 1 }, { a = "y" }]\npath = "/{parent.a}"'),
        ("stream", 'parent = "others"\npath = "/x"\nparameters = { of = "{parent.id}" }'),
        ("stream", 'incremental = { cursor = "a" , initial = 0, format = "unix" }\nparameters = { q = "{since}" }'),
        ("stream", 'incremental = { cursor = "a", parameter = "since", format = "%Y%m%d", row_format = "unix" }'),
        ("stream", 'pagination = { kind = "cursor", parameter = "a.b", into = "body", last = "id" }\nmethod = "POST"'),
    ],
)  # fmt: skip
def test_what_is_allowed(tmp_path: Path, where: str, lines: str) -> None:
    found = load(tmp_path, where, lines).connections["shop"]
    assert isinstance(found.options, RestSettings)
    names = [stream.name for stream in registry.streams("rest", "shop", found.options)]
    assert names == ["others", "items"]
