"""`expand[]`: objects in place of their ids.

What can be expanded is checked before a request acts: afterwards it is too late to refuse it.
"""

from __future__ import annotations

from leaderjobs.sandbox.shelf import Row
from leaderjobs.sandbox.stripe.account import Account
from leaderjobs.sandbox.stripe.errors import unfit
from leaderjobs.sandbox.stripe.shapes import Json, listed, shape

MOST_LEVELS = 4
"""Stripe's own limit."""
_INSIDE = {
    "invoice": {"payments": "payments", "customer": "customer"},
    "payments": {"data": "invoice_payment"},
    "invoice_payment": {"invoice": "invoice", "payment": "payment"},
    "payment": {"payment_intent": "payment_intent"},
    "invoiceitem": {"customer": "customer", "invoice": "invoice"},
    "payment_intent": {"latest_charge": "charge", "customer": "customer"},
    "charge": {"payment_intent": "payment_intent", "customer": "customer"},
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
}


def checked(paths: tuple[str, ...], noun: str, *, inside_list: bool) -> list[list[str]]:
    """The paths as names; Stripe's refusal for what is no object inside such an object."""
    return [_names(path, noun, inside_list=inside_list) for path in paths]


def expanded(account: Account, shown: Json, paths: list[list[str]], as_of: float | None) -> Json:
    """The same JSON with the objects in it, as they were at `as_of`."""
    for names in paths:
        _expand(account, shown, names, as_of)
    return shown


def _names(path: str, noun: str, *, inside_list: bool) -> list[str]:
    names = path.split(".")
    at: str | None = noun
    for place, name in enumerate(names):
        if inside_list and place == 0:
            at = noun if name == "data" else None
        else:
            at = _INSIDE.get(at or "", {}).get(name)
        if at is None or place > MOST_LEVELS:
            raise unfit(f"This property cannot be expanded ({path}).", None, "expand")
    return names


def _expand(account: Account, shown: object, names: list[str], as_of: float | None) -> None:
    if isinstance(shown, list):
        for each in shown:
            _expand(account, each, names, as_of)
    elif isinstance(shown, dict) and names:
        name, *rest = names
        if name == "payments":
            shown.setdefault(name, _payments(account, shown["id"], as_of))
        elif isinstance(shown.get(name), str):
            row = _by_id(account, shown[name], as_of)
            if row is not None:
                shown[name] = shape(row)
        _expand(account, shown.get(name), rest, as_of)


def _payments(account: Account, invoice_id: str, as_of: float | None) -> Json:
    invoice = account.invoices.get(invoice_id, as_of)
    payment = account.invoice_payments.get(invoice.payment or "", as_of) if invoice else None
    path = f"/v1/invoice_payments?invoice={invoice_id}"
    return listed(path, [shape(payment)] if payment else [], more=False)


def _by_id(account: Account, row_id: str, as_of: float | None) -> Row | None:
    shelf = account.shelves.get(row_id.partition("_")[0])
    row: Row | None = shelf.get(row_id, as_of) if shelf else None
    return row
