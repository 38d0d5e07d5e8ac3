"""A page of rows on its way from a connector to the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leaderjobs.model.marker import Cursor


class Landing(StrEnum):
    """What the store does with a batch; every one of them is one transaction and one marker step."""

    UPSERT = "upsert"
    """The rows land in the table."""
    REPLACE = "replace"
    """The rows are the whole stream: what the table holds besides becomes deleted."""
    STAGE = "stage"
    """The page is kept aside, durably, until the update it belongs to is complete."""
    APPLY = "apply"
    """This page completes the update: it and every staged page before it land in the table, in order."""
    RESTART = "restart"
    """The update is given up: its staged pages are dropped and the cursor goes back to its start."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One page, as the provider sent it, and the cursor that stands once it is committed.

    `body` is a JSON object in UTF-8; `upserts` names its members that are arrays of rows, `deletes` the
    one that is an array of objects holding at least the key of a row that is gone. The body is handed
    to Postgres as it came, so no number passes through a float. Within one batch a later row wins over an
    earlier one with the same key, and a deletion over both.
    """

    stream: str
    body: bytes
    upserts: tuple[str, ...]
    deletes: str | None
    cursor: Cursor
    landing: Landing
    rows: int
    """Rows and deletions in this page."""
