"""Plaid on loopback: the endpoints that a transactions sync needs, as the OpenAPI 2020-09-14 has them."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.message import Message
from threading import RLock
from typing import Any

import msgspec

from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.plaid.answers import (
    Refusal,
    item_json,
    login_required,
    mutation,
    page_json,
    refuse,
    strike,
)
from leaderjobs.sandbox.plaid.item import Item, Page, Position
from leaderjobs.sandbox.plaid.rows import plaid_id
from leaderjobs.sandbox.server import Sandbox

MOST_PAGE = 500
DEFAULT_PAGE = 100
MOST_TRANSACTIONS = 1_000_000
_CHANGES = ("add", "modify", "remove", "post_pending")
_CREDENTIALS = frozenset({"client_id", "secret"})
_SYNC_OPTIONS = frozenset(
    {
        "include_original_description",
        "include_personal_finance_category",
        "include_logo_and_counterparty_beta",
        "personal_finance_category_version",
        "days_requested",
    }
)


class PlaidSandbox(Sandbox):
    """One Plaid client with one Item to begin with (`access_token`); more are made as at Plaid."""

    def __init__(
        self,
        *,
        seed: int = 0,
        transactions: int = 1000,
        accounts: int = 3,
        row_bytes: int = 1400,
        port: int = 0,
        latency: timedelta = timedelta(0),
    ) -> None:
        """`transactions`, `accounts` and `row_bytes` hold for every Item; the seed decides all content."""
        super().__init__(seed=seed, port=port, latency=latency)
        self._state = RLock()
        self._seed = seed
        self._sizes = {"transactions": transactions, "accounts": accounts, "row_bytes": row_bytes}
        self._random = random.Random(f"{seed}/ids")
        self.client_id = f"{self._random.getrandbits(96):024x}"
        self.secret = f"{self._random.getrandbits(120):030x}"
        self._items: dict[str, Item] = {}
        self._public: dict[str, str] = {}
        self._pages_answered = 0
        self._asked: Counter[tuple[str, str, int]] = Counter()
        self.access_token = self._new_item()
        self._endpoints: dict[str, tuple[Callable[..., bytes], frozenset[str], frozenset[str]]] = {
            "/transactions/sync": (self._sync, _token(), frozenset({"cursor", "count", "options"})),
            "/accounts/get": (self._accounts, _token(), frozenset({"options"})),
            "/item/get": (self._item_get, _token(), frozenset()),
            "/sandbox/item/reset_login": (self._reset_login, _token(), frozenset()),
            "/sandbox/public_token/create": (
                self._public_token,
                frozenset({"institution_id", "initial_products"}),
                frozenset({"options", "user_token", "user_id"}),
            ),
            "/item/public_token/exchange": (self._exchange, frozenset({"public_token"}), frozenset()),
        }

    def rows(self, access_token: str | None = None) -> dict[str, dict[str, Any]]:
        """The transactions that exist now, by id: what a copy must be equal to. Numbers are Decimal."""
        with self._state:
            return self._item(access_token).rows()

    def add(self, count: int, access_token: str | None = None) -> list[str]:
        """New transactions of an Item (the first one unless told); their ids."""
        with self._state:
            return self._item(access_token).add(count)

    def modify(self, count: int, access_token: str | None = None) -> list[str]:
        """Change up to `count` transactions; their ids."""
        with self._state:
            return self._item(access_token).modify(count)

    def remove(self, count: int, access_token: str | None = None) -> list[str]:
        """Remove up to `count` transactions; their ids."""
        with self._state:
            return self._item(access_token).remove(count)

    def post_pending(self, count: int, access_token: str | None = None) -> list[str]:
        """Replace up to `count` pending transactions by posted ones; the new ids."""
        with self._state:
            return self._item(access_token).post_pending(count)

    def require_login(self, access_token: str | None = None, *, required: bool = True) -> None:
        """Send an Item's owner to the bank's login, or (`required=False`) let them have done it."""
        with self._state:
            self._item(access_token).login_required = required

    def close_account(self, access_token: str | None = None) -> str:
        """The last account vanishes from the answers; its id."""
        with self._state:
            return self._item(access_token).accounts.popitem()[0]

    def state(self) -> dict[str, Any]:
        """Counts of what was asked and of what there is.

        `pages_asked_twice` counts answers with rows that had been given before: same Item, same
        cursor, same data. A poll that finds nothing new is none, and nor is an update begun again
        because the data had changed.
        """
        with self._state:
            return {
                "requests": self.requests(),
                "pages_answered": self._pages_answered,
                "pages_asked_twice": sum(count - 1 for count in self._asked.values()),
                "distinct_cursors": len({(item, cursor) for item, cursor, _ in self._asked}),
                "rows": sum(len(item) for item in self._items.values()),
                "accounts": sum(len(item.accounts) for item in self._items.values()),
                "items": len(self._items),
                "faults_struck": self.faults.struck(),
            }

    def rows_json(self) -> bytes:
        """Every Item's transactions as one JSON object by item id."""
        with self._state:
            parts = [msgspec.json.encode(item.id) + b":" + item.rows_json() for item in self._items.values()]
        return b"{" + b",".join(parts) + b"}"

    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Take `{"add": n, "modify": n, "remove": n, "post_pending": n, "login_required": bool}`."""
        unknown = set(wanted) - {*_CHANGES, "login_required"}
        if unknown:
            raise ValueError(f"unknown: {sorted(unknown)}; allowed: {[*_CHANGES, 'login_required']}")
        changed: dict[str, Any] = {}
        for name in _CHANGES:
            count = wanted.get(name, 0)
            if not isinstance(count, int) or not 0 <= count <= MOST_TRANSACTIONS:
                raise ValueError(f"{name}: allowed: 0 to {MOST_TRANSACTIONS}")
            if count:
                changed[name] = len(getattr(self, name)(count))
        if "login_required" in wanted:
            self.require_login(required=bool(wanted["login_required"]))
        return changed

    def answer(self, request: Request, faults: tuple[Fault, ...]) -> Reply:
        """As Plaid: an object with a `request_id`, or an error object with a status of 4xx or 5xx."""
        request_id = self._request_id()
        try:
            for fault in faults:
                if not fault.after:
                    strike(fault, request.path)
            endpoint, required, optional = self._endpoint(request.path)
            asked = self._checked(request.headers, request.body, required, optional)
            with self._state:
                rest = endpoint(asked, frozenset(fault.kind for fault in faults))
            for fault in faults:
                strike(fault, request.path)
        except Refusal as refusal:
            return refuse(refusal, request_id, faults)
        return Reply(200, b'{"request_id":"' + request_id.encode() + b'"' + rest + b"}")

    def _endpoint(self, path: str) -> tuple[Callable[..., bytes], frozenset[str], frozenset[str]]:
        if path not in self._endpoints:
            raise Refusal("INVALID_REQUEST", "NOT_FOUND", "the requested endpoint does not exist", 404)
        return self._endpoints[path]

    def _checked(
        self, headers: Message, body: bytes, required: frozenset[str], optional: frozenset[str]
    ) -> dict[str, Any]:
        """The request's members, once body, credentials and names are as the specification wants them."""
        try:
            asked = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            raise Refusal("INVALID_REQUEST", "INVALID_BODY", "body could not be parsed as JSON") from None
        client_id = headers.get("PLAID-CLIENT-ID") or asked.get("client_id")
        secret = headers.get("PLAID-SECRET") or asked.get("secret")
        if not client_id or not secret:
            raise Refusal("INVALID_REQUEST", "MISSING_FIELDS", "client_id and secret are required")
        if (client_id, secret) != (self.client_id, self.secret):
            raise Refusal("INVALID_INPUT", "INVALID_API_KEYS", "invalid client_id or secret provided")
        missing = required - set(asked)
        if missing:
            raise Refusal("INVALID_REQUEST", "MISSING_FIELDS", f"missing: {', '.join(sorted(missing))}")
        unknown = set(asked) - required - optional - _CREDENTIALS
        if unknown:
            raise Refusal("INVALID_REQUEST", "UNKNOWN_FIELDS", f"unknown: {', '.join(sorted(unknown))}")
        return asked

    def _sync(self, asked: dict[str, Any], faults: frozenset[FaultKind]) -> bytes:
        item = self._usable(asked)
        count = _between(asked.get("count", DEFAULT_PAGE), 1, MOST_PAGE, "count")
        _check_options(asked.get("options", {}))
        cursor = asked.get("cursor") or ""
        if FaultKind.SHAPELESS in faults:
            return b""
        if FaultKind.NOT_READY in faults:
            return page_json(item, Page(), "", more=False, status="NOT_READY")
        position = _position(item, cursor)
        page = item.page(position, count)
        more = page.end < item.head
        following = Position(position.first, page.end, item.head)
        if not more:
            following = Position(item.head, item.head, item.head)
        self._pages_answered += 1
        if page.rows:
            self._asked[item.id, cursor, item.head] += 1
        if FaultKind.DUPLICATE_ID in faults and page.added:
            page.added.insert(0, page.added[0].replace(b'"PURCHASE ', b'"OUTDATED '))
        if FaultKind.EMPTY_PAGE in faults:
            return page_json(item, Page(), item.seal(position, again=True), more=True)
        if FaultKind.EQUAL_CURSORS in faults:
            return page_json(item, page, cursor or item.seal(position), more=True)
        return page_json(item, page, item.seal(following), more=more)

    def _accounts(self, asked: dict[str, Any], faults: frozenset[FaultKind]) -> bytes:
        item = self._usable(asked)
        if FaultKind.SHAPELESS in faults:
            return b""
        wanted = (asked.get("options") or {}).get("account_ids")
        if wanted is not None and not set(wanted) <= set(item.accounts):
            raise Refusal("INVALID_INPUT", "INVALID_ACCOUNT_ID", "an account_id is not one of this Item")
        accounts = b",".join(raw for key, raw in item.accounts.items() if wanted is None or key in wanted)
        return b',"accounts":[' + accounts + b'],"item":' + item_json(item)

    def _item_get(self, asked: dict[str, Any], _faults: frozenset[FaultKind]) -> bytes:
        status = {
            "transactions": {"last_successful_update": "2025-01-01T00:00:00Z", "last_failed_update": None}
        }
        item = self._find(asked)
        return b',"item":' + item_json(item) + b',"status":' + msgspec.json.encode(status)

    def _reset_login(self, asked: dict[str, Any], _faults: frozenset[FaultKind]) -> bytes:
        self._find(asked).login_required = True
        return b',"reset_login":true'

    def _public_token(self, asked: dict[str, Any], _faults: frozenset[FaultKind]) -> bytes:
        if not isinstance(asked["initial_products"], list) or not asked["initial_products"]:
            raise Refusal("INVALID_REQUEST", "INVALID_FIELD", "initial_products must not be empty")
        if not str(asked["institution_id"]).startswith("ins_"):
            raise Refusal("INVALID_INPUT", "INVALID_INSTITUTION", "invalid institution_id provided")
        token = f"public-sandbox-{self._uuid()}"
        self._public[token] = str(asked["institution_id"])
        return b',"public_token":' + msgspec.json.encode(token)

    def _exchange(self, asked: dict[str, Any], _faults: frozenset[FaultKind]) -> bytes:
        institution = self._public.pop(asked["public_token"], None)
        if institution is None:
            raise Refusal("INVALID_INPUT", "INVALID_PUBLIC_TOKEN", "could not find matching public token")
        token = self._new_item()
        self._items[token].institution = institution
        made = {"access_token": token, "item_id": self._items[token].id}
        return b"," + msgspec.json.encode(made)[1:-1]

    def _new_item(self) -> str:
        token = f"access-sandbox-{self._uuid()}"
        self._items[token] = Item(f"{self._seed}/{len(self._items)}", **self._sizes)
        return token

    def _item(self, access_token: str | None) -> Item:
        return self._items[access_token or self.access_token]

    def _find(self, asked: dict[str, Any]) -> Item:
        item = self._items.get(str(asked["access_token"]))
        if item is None:
            raise Refusal("INVALID_INPUT", "INVALID_ACCESS_TOKEN", "could not find matching access token")
        return item

    def _usable(self, asked: dict[str, Any]) -> Item:
        item = self._find(asked)
        if item.login_required:
            raise login_required()
        return item

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _request_id(self) -> str:
        with self._state:
            return plaid_id(f"{self._random.getrandbits(64)}")[:15]


def _token() -> frozenset[str]:
    return frozenset({"access_token"})


def _position(item: Item, cursor: str) -> Position:
    """Where a request goes on; Plaid's refusals for a cursor of somebody else and for changed data."""
    if cursor == "now":
        return Position(item.head, item.head, item.head)
    if not cursor:
        return Position(0, 0, item.head)
    position = item.unseal(cursor)
    if position is None:
        raise Refusal("INVALID_REQUEST", "INVALID_FIELD", "cursor not associated with access_token")
    if position.at > position.first and position.head != item.head:
        raise mutation()
    return position


def _check_options(options: object) -> None:
    if not isinstance(options, dict):
        raise Refusal("INVALID_REQUEST", "INVALID_FIELD", "options must be an object")
    unknown = set(options) - _SYNC_OPTIONS
    if unknown:
        raise Refusal("INVALID_REQUEST", "UNKNOWN_FIELDS", f"unknown: {', '.join(sorted(unknown))}")
    _between(options.get("days_requested", 90), 1, 730, "days_requested")


def _between(value: object, least: int, most: int, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise Refusal("INVALID_REQUEST", "INVALID_FIELD", f"{name} must be between {least} and {most}")
