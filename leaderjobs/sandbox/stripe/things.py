"""What the objects show that nothing here acts on."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

NewId = Callable[[str], str]
Members = dict[str, Any]
BIG = 9_007_199_254_740_993
"""An amount that a float has no room for."""


def _product(ids: NewId, dice: random.Random, created: int) -> Members:
    return {
        "active": dice.random() < 0.8,
        "default_price": ids("price"),
        "description": None,
        "images": [],
        "metadata": {},
        "name": f"Product {dice.randint(1, 9999)}",
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "unit_label": None,
        "updated": created,
        "url": None,
    }


def _price(ids: NewId, dice: random.Random, _created: int) -> Members:
    amount = dice.randint(100, 9999)
    return {
        "active": dice.random() < 0.7,
        "billing_scheme": "per_unit",
        "currency": "usd",
        "custom_unit_amount": None,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": ids("prod"),
        "recurring": {"interval": "month", "interval_count": 1, "meter": None, "usage_type": "licensed"},
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def _subscription(ids: NewId, dice: random.Random, created: int) -> Members:
    item = {
        "id": ids("si"),
        "object": "subscription_item",
        "created": created,
        "current_period_end": created + 30 * 86400,
        "current_period_start": created,
        "metadata": {},
        "quantity": dice.randint(1, 9),
    }
    return {
        "billing_cycle_anchor": created,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "collection_method": "charge_automatically",
        "currency": "usd",
        "customer": ids("cus"),
        "default_payment_method": None,
        "ended_at": None,
        "items": {"object": "list", "data": [item], "has_more": False, "url": "/v1/subscription_items"},
        "latest_invoice": ids("in"),
        "metadata": {},
        "start_date": created,
        "status": dice.choice(["active", "active", "past_due", "canceled"]),
        "trial_end": None,
        "trial_start": None,
    }


def _payout(ids: NewId, dice: random.Random, created: int) -> Members:
    return {
        "amount": dice.randint(1000, 500_000),
        "arrival_date": created + 2 * 86400,
        "automatic": True,
        "balance_transaction": ids("txn"),
        "currency": "usd",
        "description": "STRIPE PAYOUT",
        "destination": ids("ba"),
        "failure_code": None,
        "failure_message": None,
        "metadata": {},
        "method": "standard",
        "reconciliation_status": "completed",
        "source_type": "card",
        "statement_descriptor": None,
        "status": "paid",
        "type": "bank_account",
    }


def _dispute(ids: NewId, dice: random.Random, created: int) -> Members:
    return {
        "amount": dice.randint(500, 50_000),
        "balance_transactions": [],
        "charge": ids("ch"),
        "currency": "usd",
        "evidence": {},
        "evidence_details": {
            "due_by": created + 7 * 86400,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": ids("pi"),
        "reason": "fraudulent",
        "status": "needs_response",
    }


def _balance_transaction(ids: NewId, dice: random.Random, created: int) -> Members:
    amount = BIG + dice.randint(0, 9) * 2
    return {
        "amount": amount,
        "available_on": created + 2 * 86400,
        "currency": "idr",
        "description": None,
        "exchange_rate": Decimal(f"0.0000{dice.randint(10**15, 10**16 - 1)}1"),
        "fee": 1,
        "fee_details": [],
        "net": amount - 1,
        "reporting_category": "charge",
        "source": ids("ch"),
        "status": "available",
        "type": "charge",
    }


MEMBERS: Mapping[str, Callable[[NewId, random.Random, int], Members]] = {
    "balance_transaction": _balance_transaction,
    "dispute": _dispute,
    "payout": _payout,
    "price": _price,
    "product": _product,
    "subscription": _subscription,
}
