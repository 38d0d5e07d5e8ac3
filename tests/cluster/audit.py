"""A record of what was committed, kept by triggers in the database itself.

Trigger rows of a transaction that is rolled back vanish with it, so what is left was committed. Where the
server keeps commit timestamps, an entry's instant is that of its commit. Elsewhere it is when the row was
written; a raise of the fence waits for commits in flight (they hold the term's row FOR SHARE), so even then a
term's last write comes before its successor's raise.

A transaction of a term calls itself by the term's number, so every row says under which term it was written.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.cluster.checks_terms import check_pages, check_sequences, check_terms
from tests.cluster.history import Entry, What

_DDL = """
CREATE SCHEMA audit;
CREATE TABLE audit.entries (
    id bigint GENERATED ALWAYS AS IDENTITY, what text, cluster text, term bigint, effect text, job bigint,
    stream text, facts jsonb, at timestamptz DEFAULT clock_timestamp()
);
CREATE FUNCTION audit.term() RETURNS bigint LANGUAGE sql AS $$
    SELECT coalesce(
        substring(current_setting('application_name') FROM '^leaderjobs-term:[0-9a-f]+:[0-9]+:([0-9]+)$')::bigint, 0)
$$;
CREATE FUNCTION audit.of_marker() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit.entries (what, cluster, term, stream, facts)
    VALUES ('batch', NEW.cluster, NEW.term, NEW.connection || '.' || NEW.stream,
            jsonb_build_object('sequence', NEW.sequence));
    RETURN NULL;
END $$;
CREATE FUNCTION audit.of_term() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit.entries (what, cluster, term, facts)
    VALUES ('raise', NEW.cluster, NEW.number, jsonb_build_object('member', NEW.member));
    RETURN NULL;
END $$;
CREATE FUNCTION audit.of_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' AND NEW.state = OLD.state AND NEW.attempt = OLD.attempt
       AND NEW.term IS NOT DISTINCT FROM OLD.term
    THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit.entries (what, cluster, term, effect, job, facts)
    VALUES ('job', NEW.cluster, audit.term(), NEW.effect, NEW.id, jsonb_build_object(
        'was', CASE TG_OP WHEN 'UPDATE' THEN OLD.state ELSE '' END, 'state', NEW.state, 'attempt', NEW.attempt,
        'target', NEW.target, 'by', NEW.term, 'error', left(NEW.error, 200)));
    RETURN NULL;
END $$;
CREATE FUNCTION audit.of_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' AND NEW.state = OLD.state AND NEW.contradiction = OLD.contradiction THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit.entries (what, cluster, term, effect, facts)
    VALUES ('effect', NEW.cluster, audit.term(), NEW.id, CASE TG_OP
        WHEN 'INSERT' THEN jsonb_build_object(
            'was', '', 'state', NEW.state, 'operation', NEW.operation, 'arguments', NEW.arguments,
            'path', NEW.path, 'body', left(encode(sha256(NEW.body), 'hex'), 16))
        ELSE jsonb_build_object(
            'was', OLD.state, 'state', NEW.state, 'code', NEW.code, 'reason', NEW.reason,
            'by_other', NEW.by_other, 'contradiction', NEW.contradiction) END);
    RETURN NULL;
END $$;
CREATE FUNCTION audit.of_send() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'UPDATE' AND NEW.told IS NOT DISTINCT FROM OLD.told THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit.entries (what, cluster, term, effect, facts)
    SELECT CASE TG_OP WHEN 'INSERT' THEN 'stamp' ELSE 'evidence' END, e.cluster, NEW.term, NEW.effect,
        CASE TG_OP
            WHEN 'INSERT' THEN jsonb_build_object(
                'n', NEW.n, 'basis', NEW.basis, 'member', NEW.member,
                'sent_at', extract(epoch FROM NEW.sent_at)::double precision)
            ELSE jsonb_build_object(
                'n', NEW.n, 'told', NEW.told, 'code', NEW.code, 'status', NEW.status, 'written_by', audit.term()) END
    FROM leaderjobs.effects e WHERE e.id = NEW.effect;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON leaderjobs.markers FOR EACH ROW EXECUTE FUNCTION audit.of_marker();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON leaderjobs.terms FOR EACH ROW EXECUTE FUNCTION audit.of_term();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON leaderjobs.jobs FOR EACH ROW EXECUTE FUNCTION audit.of_job();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON leaderjobs.effects FOR EACH ROW EXECUTE FUNCTION audit.of_effect();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON leaderjobs.effect_sends FOR EACH ROW EXECUTE FUNCTION audit.of_send();
"""
_ENTRIES = """
SELECT id, what, term, coalesce(effect, '') AS effect, coalesce(job, 0) AS job, coalesce(stream, '') AS stream,
       coalesce(facts, '{}') AS facts,
       extract(epoch FROM CASE
           WHEN current_setting('track_commit_timestamp')::boolean THEN pg_xact_commit_timestamp(xmin) ELSE at
       END)::double precision AS at
FROM audit.entries WHERE cluster = %s ORDER BY id
"""
_PAGES = """
SELECT m.connection || '.' || m.stream AS stream, m.cursor,
       (SELECT count(*) FROM leaderjobs.stages s WHERE s.cluster = m.cluster
         AND s.connection = m.connection AND s.pile = m.stream) AS staged,
       extract(epoch FROM clock_timestamp())::double precision AS at
FROM leaderjobs.markers m WHERE m.cluster = %s
"""


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
            named = parameters[0] if parameters and isinstance(parameters[0], dict) else parameters
            cursor = connection.execute(statement, named or None)  # tests only
            return cursor.fetchall() if cursor.description else []

    def now(self) -> float:
        """The instant, by the database's clock."""
        return float(self.execute("SELECT extract(epoch FROM clock_timestamp()) AS at")[0]["at"])

    def entries(self, cluster: str = "demo") -> list[Entry]:
        """Everything that was committed so far, in the order of commit."""
        rows = self.execute(_ENTRIES, cluster)
        return [Entry(who="postgres", **{**row, "what": What(row["what"])}) for row in rows]

    def pages(self, cluster: str = "demo") -> list[Entry]:
        """One snapshot of every stream: its staged pages, and how many of them its cursor speaks of."""
        return [
            Entry(
                at=row["at"],
                who="postgres",
                what=What.PAGES,
                stream=row["stream"],
                facts={"staged": row["staged"], "expected": (row["cursor"] or {}).get("page", 0)},
            )
            for row in self.execute(_PAGES, cluster)
        ]

    def check(self, cluster: str = "demo") -> None:
        """I1, I3 and I4 over all that was committed; a Violation tells the first one."""
        entries = self.entries(cluster)
        check_terms(entries)
        check_sequences(entries)
        check_pages(self.pages(cluster))
