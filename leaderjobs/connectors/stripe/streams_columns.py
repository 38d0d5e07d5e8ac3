"""What the columns of Stripe's streams have in common."""

from __future__ import annotations

from leaderjobs.model.stream import Column, ColumnType

MINOR = "in the currency's smallest unit (cents; whole yen)"


def word(name: str, comment: str = "", *path: str, indexed: bool = False) -> Column:
    """A text; found under its own name unless a path is given."""
    return Column(name, ColumnType.TEXT, path or (name,), comment, indexed)


def amount(name: str, comment: str, *path: str) -> Column:
    """An amount of money."""
    return Column(name, ColumnType.NUMERIC, path or (name,), f"{comment}; {MINOR}")


def number(name: str, comment: str = "", *path: str) -> Column:
    """A number that is no money, or money in another unit."""
    return Column(name, ColumnType.NUMERIC, path or (name,), comment)


def flag(name: str, comment: str = "", *path: str) -> Column:
    """True or false."""
    return Column(name, ColumnType.BOOLEAN, path or (name,), comment)


def instant(name: str, comment: str = "", *path: str, indexed: bool = False) -> Column:
    """Seconds since 1970."""
    return Column(name, ColumnType.TIMESTAMP, path or (name,), comment, indexed)


def whole(name: str, comment: str, *path: str) -> Column:
    """Whatever stands there."""
    return Column(name, ColumnType.JSON, path or (name,), comment)


CREATED = instant("created", "When the object was made", indexed=True)
LIVEMODE = flag("livemode", "False: made with a test key")
CURRENCY = word("currency", "ISO 4217, in small letters")
CUSTOMER = word("customer", "Key in stripe.customers", indexed=True)
METADATA = whole("metadata", "Names and values of the account's own")
