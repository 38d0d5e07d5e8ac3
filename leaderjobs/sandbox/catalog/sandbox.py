"""A provider of no particular make: a catalog with a listing of each kind that REST APIs have."""

from __future__ import annotations

import base64
import random
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from threading import RLock
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus

import msgspec

from leaderjobs.sandbox.catalog.items import Item, Items, encoded, stamp
from leaderjobs.sandbox.catalog.pages import KINDS, Answered, Unusable, Wanted
from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.server import Sandbox

MOST_ITEMS = 1_000_000
API = "/api/v1"
OAUTH = "/oauth/token"
GROUPS = ("red", "green/blue", "empty", "white")
_CHANGES = ("add", "modify", "remove", "drift")


class CatalogSandbox(Sandbox):
    """Under `/api/v1`: one listing of the same items for each way of paging, and what else there is.

    `plain`, `numbered`, `offset`, `cursor`, `last`, `linked`, `chained`: the items that are there now, by id.
    `changes`: by cursor, also the removed ones, with `updated_since` and `updated_before`, `since_MEMBER` or
    `after_MEMBER`; `sort=updated` has the longest unchanged first; `changes/KIND` pages as that listing does.
    `query`: as `cursor` or `changes`, by POST of `{"variables": {"after": …, "since": …}}`.
    `groups` and `groups/{id}/items`: parents and children. `me`: whoever asks.
    """

    methods = frozenset({"GET", "POST"})

    def __init__(
        self, *, seed: int = 0, items: int = 55, port: int = 0, latency: timedelta = timedelta(0)
    ) -> None:
        """The seed decides all content and every credential."""
        super().__init__(seed=seed, port=port, latency=latency)
        self._state = RLock()
        self._seed = f"{seed}/catalog"
        made = random.Random(f"{seed}/credentials")
        self.token, self.api_key, self.password, self.client_secret = (
            f"{word}_{made.getrandbits(128):032x}" for word in ("tok", "key", "pw", "cs")
        )
        self.username, self.client_id = "catalog-user", "catalog-client"
        self._tokens: set[str] = set()
        self.token_life: int | None = 3600
        self.groups: tuple[str, ...] = GROUPS
        """Those that are listed; all of them can be asked for."""
        self._items = Items(self._seed, items)
        self._asked: Counter[tuple[str, str, bytes, int]] = Counter()

    @property
    def base_url(self) -> str:
        """To be used as the connection's."""
        return self.url + API

    def rows(self, stream: str = "items") -> dict[str, dict[str, Any]]:
        """The rows that must be in a table: of the items, `groups`, or `members` (of groups)."""
        with self._state:
            if stream == "groups":
                return {row["id"]: row for row in self._groups()}
            if stream == "members":
                return {
                    f'["{group}", "{item.id}"]': {"group": group, **item.row()}
                    for group in self.groups
                    for item in self._members(group)
                }
            return {item.id: item.row() for item in self._items.live()}

    def add(self, count: int) -> list[str]:
        """New items; their ids."""
        with self._state:
            return self._items.add(count)

    def modify(self, count: int) -> list[str]:
        """Change up to so many; their ids."""
        with self._state:
            return self._items.modify(count)

    def remove(self, count: int) -> list[str]:
        """Remove up to so many; their ids."""
        with self._state:
            return self._items.remove(count)

    def drift(self, count: int) -> list[str]:
        """New members and other types in up to so many; their ids."""
        with self._state:
            return self._items.drift(count)

    def expire_tokens(self) -> None:
        """Every token of the OAuth endpoint ends now."""
        with self._state:
            self._tokens.clear()

    def issued(self) -> set[str]:
        """The tokens that hold."""
        with self._state:
            return set(self._tokens)

    def state(self) -> dict[str, Any]:
        """Counts; asked twice is a page whose answer had been given before: same request, same data."""
        with self._state:
            return {
                "requests": self.requests(),
                "pages_answered": sum(self._asked.values()),
                "pages_asked_twice": sum(count - 1 for count in self._asked.values()),
                "rows": len(self._items.live()),
                "faults_struck": self.faults.struck(),
            }

    def rows_json(self) -> bytes:
        """The items that are there."""
        return encoded(list(self.rows().values()))

    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Take `{"add": n, "modify": n, "remove": n, "drift": n}`."""
        unknown = set(wanted) - {*_CHANGES}
        if unknown:
            raise ValueError(f"unknown: {sorted(unknown)}; allowed: {[*_CHANGES]}")
        for name, count in wanted.items():
            if not isinstance(count, int) or not 0 <= count <= MOST_ITEMS:
                raise ValueError(f"{name}: allowed: 0 to {MOST_ITEMS}")
        return {name: len(getattr(self, name)(count)) for name, count in wanted.items()}

    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        """As such an API does."""
        struck = next(filter(None, map(_struck, faults)), None)
        if struck is not None:
            return struck
        if request.path == OAUTH:
            return self._issue(request)
        if not self._known(request):
            return _error(401, "who are you?")
        try:
            with self._state:
                answered = self._routed(request, frozenset(fault.kind for fault in faults))
                if answered.rows:
                    self._asked[request.path, request.query, request.body, self._items.changes] += 1
        except Unusable as error:
            return _error(400, str(error))
        except LookupError:
            return _error(404, "there is nothing here")
        return Reply(200, encoded(answered.document), answered.headers)

    def _routed(self, request: Request, faults: frozenset[FaultKind]) -> Answered:
        place = request.path.removeprefix(API + "/")
        query: dict[str, str] = dict(parse_qsl(request.query))
        query.pop("api_key", None)
        if request.method == "POST":
            query |= _variables(request.body)
            place = place if place != "query" else "changes" if "updated_since" in query else "cursor"
        wanted = Wanted(self.url + request.path, query, self._seed, faults)
        if place == "me":
            return Answered({"name": self.username}, 0)
        if place == "groups":
            return Answered({"data": self._groups()}, len(self._groups()))
        if place.split("/")[0] == "changes":
            kind = place.partition("/")[2] or "cursor"
            return KINDS[kind](wanted, self._changed(query))
        if place.startswith("groups/") and place.endswith("/items"):
            group = unquote_plus(place.removeprefix("groups/").removesuffix("/items"))
            if group not in GROUPS:
                raise LookupError
            return KINDS["chained"](wanted, self._members(group))
        return KINDS[place](wanted, self._items.live())

    def _changed(self, query: Mapping[str, str]) -> Sequence[Item]:
        """The items of a span, the removed ones too."""
        since, before = query.get("updated_since", ""), query.get("updated_before", "~")
        found = [item for item in self._items.all() if since <= stamp(item.updated) < before]
        for name, value in query.items():
            word, _, member = name.partition("_")
            least = int(value) if value.isdecimal() else value
            if word in {"since", "after"}:
                found = [item for item in found if item.row()[member] >= least]
            if word == "after":
                found = [item for item in found if item.row()[member] != least]
        if query.get("sort") == "updated":
            found.sort(key=lambda item: item.updated)
        return found

    def _groups(self) -> list[dict[str, Any]]:
        return [{"id": group, "size": len(self._members(group))} for group in self.groups]

    def _members(self, group: str) -> list[Item]:
        if group == "empty":
            return []
        place = GROUPS.index(group)
        return [item for item in self._items.live() if item.number % (place + 2) == 0]

    def _known(self, request: Request) -> bool:
        """Whether any of the ways to say who one is holds."""
        given = request.headers.get("Authorization", "")
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        with self._state:
            allowed = [
                f"Bearer {self.token}",
                f"Basic {pair}",
                *(f"Bearer {token}" for token in self._tokens),
            ]
        keys = [request.headers.get("X-Api-Key", ""), *parse_qs(request.query).get("api_key", [])]
        return given in allowed or self.api_key in keys

    def _issue(self, request: Request) -> Reply:
        """A token for a client (RFC 6749 §4.4)."""
        form = dict(parse_qsl(request.body.decode("latin-1")))
        client = (form.get("client_id"), form.get("client_secret"))
        basic = request.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            name, _, word = base64.b64decode(basic[6:]).decode().partition(":")
            client = (unquote_plus(name), unquote_plus(word))
        if client != (self.client_id, self.client_secret):
            return Reply(401, b'{"error":"invalid_client"}')
        if form.get("grant_type") != "client_credentials":
            return Reply(400, b'{"error":"unsupported_grant_type"}')
        with self._state:
            token = f"oauth_{secrets.token_hex(16)}"
            self._tokens.add(token)
        life = {} if self.token_life is None else {"expires_in": self.token_life}
        return Reply(200, msgspec.json.encode({"access_token": token, "token_type": "bearer", **life}))


def _struck(fault: Fault) -> Reply | None:
    """What a fault has the API say instead."""
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            return _error(429, "slow down", headers)
        case FaultKind.SERVER_ERROR:
            return _error(fault.status or 500, "something went wrong")
        case FaultKind.ERROR:
            return _error(fault.status or 400, "as asked for")
        case FaultKind.SHAPELESS:
            return Reply(200, b'{"message":"hello"}')
        case _:
            return None


def _variables(body: bytes) -> dict[str, str]:
    """What a query by POST asks for."""
    try:
        asked = msgspec.json.decode(body, type=dict[str, dict[str, Any]])
    except msgspec.DecodeError:
        raise Unusable("the body is no object of objects") from None
    variables = asked.get("variables", {})
    names = {"after": "cursor", "first": "limit", "since": "updated_since", "until": "updated_before"}
    return {names[name]: str(value) for name, value in variables.items() if name in names and value}


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, msgspec.json.encode({"error": {"message": message}}), headers or {})
