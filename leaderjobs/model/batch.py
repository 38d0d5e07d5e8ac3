"""A page of rows on its way from a connector to the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leaderjobs.model.marker import Cursor
from leaderjobs.model.stream import Stream


class Landing(StrEnum):
    """What the store does with a batch; every one of them is one transaction and one marker step.

    A *walk* is a complete listing that comes in many pages, each of which lands at once; what the walk has
    not met when it ends is gone at the provider.
    """

    UPSERT = "upsert"
    """The rows land in the table."""
    REPLACE = "replace"
    """The rows are the whole stream (or its whole `scope`): what the table holds besides becomes deleted."""
    WALK = "walk"
    """A page of a walk: the rows land, and their ids are remembered as met."""
    SWEEP = "sweep"
    """A walk's last page: as WALK; then what was not met (in the `scope`) becomes deleted."""
    STAGE = "stage"
    """The page is kept aside, durably, until the update it belongs to is complete."""
    APPLY = "apply"
    """This page completes the update: it and every staged page before it land in the table, in order.

    With a `scope` the update is also all that the scope holds: what it does not hold becomes deleted.
    """
    RESTART = "restart"
    """The update or walk is given up: staged pages are dropped, and what was met is forgotten."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One page, as the provider sent it, and the cursor that stands once it is committed.

    `body` is a JSON object in UTF-8; `upserts` names its members that are arrays of rows, `deletes` the
    one that is an array of objects holding at least the key of a row that is gone. The body is handed
    to Postgres as it came, so no number passes through a float. Within one batch a later row wins over an
    earlier one with the same key, and a deletion over both.

    Every version of a row has an order key, and one with a lower key never takes the place of one with a
    higher: it is the marker's sequence, unless the batch says `order` for all of its rows, or (`ordered`)
    the body holds beside each array `NAME` of rows an array `NAME_orders` of as many whole numbers. A stream
    uses one kind of order key for ever.
    """

    stream: str
    body: bytes
    upserts: tuple[str, ...]
    deletes: str | None
    cursor: Cursor
    landing: Landing
    rows: int
    """Rows and deletions in this page."""
    order: int | None = None
    """Order key of all rows of this batch; also of what SWEEP or REPLACE find gone: newer rows stay."""
    ordered: bool = False
    scope: tuple[str, str] | None = None
    """An indexed column of the stream and its value: REPLACE, SWEEP and APPLY are about those rows only."""
    total: int | None = None
    """Rows that this read will bring in all, where the provider tells; for people who wait."""
    shape: Stream | None = None
    """The stream as this page needs it, where that is known only now; its table is made to fit first."""
