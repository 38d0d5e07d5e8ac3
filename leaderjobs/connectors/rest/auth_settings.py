"""How `connector = "rest"` proves who it is: the table `[connections.NAME.auth]`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from leaderjobs.connectors.rest.words import OURS, TOKEN, check_only
from leaderjobs.connectors.urls import check_base_url
from leaderjobs.values import Secret


class RestAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Credentials of every request; `kind` says which of the others they are."""

    kind: Literal["bearer", "basic", "header", "query", "oauth_client_credentials"]
    token: Secret | None = None
    username: Secret | None = None
    password: Secret | None = None
    name: str = ""
    """Of the header, or of the query's parameter."""
    value: Secret | None = None
    token_url: str = ""
    client_id: Secret | None = None
    client_secret: Secret | None = None
    scope: str = ""
    audience: str = ""
    client_auth: Literal["basic", "body"] = "basic"
    """Where the token's endpoint wants `client_id` and `client_secret`."""

    def __post_init__(self) -> None:
        """ValueError with the sentence of what is allowed."""
        needed, more = _FIELDS[self.kind]
        check_only(self, self.kind, {*needed, *more})
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise ValueError(f'{missing[0]} is missing; kind = "{self.kind}" needs {", ".join(needed)}')
        if self.kind == "header" and (TOKEN.fullmatch(self.name) is None or self.name.lower() in OURS):
            raise ValueError('name: allowed: the name of a header, such as "X-Api-Key"')
        if self.kind == "query" and TOKEN.fullmatch(self.name) is None:
            raise ValueError('name: allowed: the name of a parameter, such as "api_key"')
        if self.token_url:
            try:
                check_base_url(self.token_url)
            except ValueError as error:
                raise ValueError(str(error).replace("base_url:", "token_url:", 1)) from None

    @property
    def header(self) -> str:
        """The name of the header that it writes; empty where it writes none."""
        return {"query": "", "header": self.name}.get(self.kind, "Authorization")


def check_beside(auth: RestAuth, headers: Collection[str]) -> None:
    """ValueError where `headers` has the header that `auth` writes."""
    if auth.header.lower() in {name.lower() for name in headers}:
        raise ValueError(f"headers: allowed: not {auth.header} beside auth, which writes it")


_FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bearer": (("token",), ()),
    "basic": (("username",), ("password",)),
    "header": (("name", "value"), ()),
    "query": (("name", "value"), ()),
    "oauth_client_credentials": (
        ("token_url", "client_id", "client_secret"),
        ("scope", "audience", "client_auth"),
    ),
}
"""By kind: what must be given, and what may be."""
