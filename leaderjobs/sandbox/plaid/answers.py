"""The sandbox's answers and refusals in Plaid's shapes."""

from __future__ import annotations

from typing import Any

import msgspec

from leaderjobs.sandbox.exchange import Reply
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.plaid.item import Item, Page

_LIMITS = {
    "/transactions/sync": "TRANSACTIONS_SYNC_LIMIT",
    "/accounts/get": "ACCOUNTS_LIMIT",
    "/item/get": "ITEM_GET_LIMIT",
}


class Refusal(Exception):
    """An error answer in Plaid's shape."""

    def __init__(self, kind: str, code: str, message: str, status: int = 400) -> None:
        super().__init__(code)
        self.kind, self.code, self.text, self.status = kind, code, message, status


def page_json(
    item: Item, page: Page, cursor: str, *, more: bool, status: str = "HISTORICAL_UPDATE_COMPLETE"
) -> bytes:
    """The members of `/transactions/sync` after `request_id`."""
    rest = {"next_cursor": cursor, "has_more": more, "transactions_update_status": status}
    return b"".join(
        (
            b',"accounts":[' + b",".join(item.accounts.values()),
            b'],"added":[' + b",".join(page.added),
            b'],"modified":[' + b",".join(page.modified),
            b'],"removed":[' + b",".join(page.removed),
            b"]," + msgspec.json.encode(rest)[1:-1],
        )
    )


def item_json(item: Item) -> bytes:
    """An Item as `/item/get` and `/accounts/get` show it."""
    error = _error_json(login_required(), None) if item.login_required else None
    return msgspec.json.encode(
        {
            "item_id": item.id,
            "institution_id": item.institution,
            "institution_name": "Platypus Bank",
            "webhook": None,
            "error": error,
            "available_products": ["balance"],
            "billed_products": ["transactions"],
            "products": ["transactions"],
            "consent_expiration_time": None,
            "update_type": "background",
        }
    )


def strike(fault: Fault, path: str) -> None:
    """Raise the refusal that a fault stands for, if it is one."""
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            code = _LIMITS.get(path, "RATE_LIMIT")
            raise Refusal("RATE_LIMIT_EXCEEDED", code, "rate limit exceeded", 429)
        case FaultKind.SERVER_ERROR:
            text = "an unexpected error occurred"
            raise Refusal("API_ERROR", "INTERNAL_SERVER_ERROR", text, fault.status or 500)
        case FaultKind.ERROR:
            raise Refusal(fault.error_type, fault.error_code, "as asked for", fault.status or 400)
        case FaultKind.LOGIN_REQUIRED:
            raise login_required()
        case FaultKind.MUTATION:
            raise mutation()
        case _:
            return


def login_required() -> Refusal:
    """The owner must log in again."""
    text = "the login details of this item have changed; use Link update mode"
    return Refusal("ITEM_ERROR", "ITEM_LOGIN_REQUIRED", text)


def mutation() -> Refusal:
    """The pages that the client holds are worth nothing."""
    text = "Underlying transaction data changed since last page was fetched; restart from the first cursor"
    return Refusal("TRANSACTIONS_ERROR", "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION", text)


def _error_json(refusal: Refusal, request_id: str | None) -> dict[str, Any]:
    return {
        "error_type": refusal.kind,
        "error_code": refusal.code,
        "error_message": refusal.text,
        "display_message": None,
        **({"request_id": request_id} if request_id else {}),
    }


def refuse(refusal: Refusal, request_id: str, faults: tuple[Fault, ...]) -> Reply:
    """An error answer; a fault's `retry_after` becomes the header."""
    said = [fault.retry_after for fault in faults if fault.retry_after is not None]
    headers = {"Retry-After": said[0]} if said else {}
    return Reply(refusal.status, msgspec.json.encode(_error_json(refusal, request_id)), headers)
