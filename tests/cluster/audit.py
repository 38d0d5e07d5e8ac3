"""A record of what was committed, kept by triggers in the database itself, and the checks over it.

Trigger rows of a transaction that is rolled back vanish with it, so what is left was committed. The
raise of a fence waits for commits in flight (they hold the term's row FOR SHARE), so for committed rows
the order of `id` is the order of commit between a term's last batch and its successor's raise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import dict_row

_DDL = """
CREATE SCHEMA audit;
CREATE TABLE audit.entries (
    id bigint GENERATED ALWAYS AS IDENTITY, what text, cluster text, term bigint, stream text,
    sequence bigint, at timestamptz DEFAULT clock_timestamp()
);
CREATE FUNCTION audit.of_marker() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit.entries (what, cluster, term, stream, sequence)
    VALUES ('batch', NEW.cluster, NEW.term, NEW.connection || '.' || NEW.stream, NEW.sequence);
    RETURN NULL;
END $$;
CREATE FUNCTION audit.of_term() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit.entries (what, cluster, term) VALUES ('raise', NEW.cluster, NEW.number);
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON leaderjobs.markers FOR EACH ROW EXECUTE FUNCTION audit.of_marker();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON leaderjobs.terms FOR EACH ROW EXECUTE FUNCTION audit.of_term();
"""


@dataclass(frozen=True)
class Entry:
    """One committed step: a batch of a term, or the raise of the fence to a term."""

    id: int
    what: str
    cluster: str
    term: int
    stream: str | None
    sequence: int | None
    at: datetime


class Audit:
    """Watches one database from outside of everything that is tested."""

    def __init__(self, url: str) -> None:
        """Install the triggers; the schema must be there."""
        self._url = url
        self.execute(_DDL)

    def execute(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """One statement of the test's own, on a connection of its own."""
        with psycopg.connect(
            self._url, autocommit=True, row_factory=dict_row, connect_timeout=5
        ) as connection:
            cursor = connection.execute(statement, parameters or None)  # tests only
            return cursor.fetchall() if cursor.description else []

    def entries(self, cluster: str = "demo") -> list[Entry]:
        """Everything that was committed so far."""
        rows = self.execute("SELECT * FROM audit.entries WHERE cluster = %s ORDER BY id", cluster)
        return [Entry(**row) for row in rows]

    def check(self, cluster: str = "demo") -> None:
        """I1, I3 and I4 over all that was committed; AssertionError tells the first violation."""
        entries = self.entries(cluster)
        check_terms(entries)
        check_sequences(entries)
        self.check_pages_whole(cluster)

    def check_pages_whole(self, cluster: str) -> None:
        """I3: in one snapshot, the staged pages, the marker and the job's progress tell the same story."""
        rows = self.execute(
            """
            SELECT m.connection, m.stream, m.sequence, m.rows, m.cursor,
                   (SELECT count(*) FROM leaderjobs.stages s WHERE s.cluster = m.cluster
                     AND s.connection = m.connection AND s.stream = m.stream) AS staged
            FROM leaderjobs.markers m WHERE m.cluster = %s
            """,
            cluster,
        )
        for row in rows:
            under_way = row["cursor"].get("page", 0) if row["cursor"] else 0
            assert row["staged"] == under_way, (
                f"I3: {row['staged']} staged pages, cursor says {under_way}: {row}"
            )


def check_terms(entries: list[Entry]) -> None:
    """I1: no batch of a term after the raise of a later one; raises go up by one."""
    term = 0
    for entry in entries:
        if entry.what == "raise":
            assert entry.term == term + 1, f"I1: term {entry.term} was raised after {term}"
            term = entry.term
        else:
            assert entry.term == term, (
                f"I1: a batch of term {entry.term} was committed in term {term}: {entry}"
            )


def check_sequences(entries: list[Entry]) -> None:
    """I4: each stream's sequence rises by exactly one per batch."""
    streams = {entry.stream for entry in entries if entry.what == "batch"}
    for stream in streams:
        sequences = [entry.sequence or 0 for entry in entries if entry.stream == stream]
        assert sequences[0] == 1, f"I4: {stream} began at {sequences[0]}"
        for before, after in pairwise(sequences):
            assert after == before + 1, f"I4: {stream} went from {before} to {after}"
