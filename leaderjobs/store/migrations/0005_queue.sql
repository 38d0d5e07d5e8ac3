-- breaking: yes
-- Time limits, cancelling, a queue read by connection, and enqueuing from SQL. Breaking, because a program that does
-- not know cancelling would go on with what was cancelled.

ALTER TABLE leaderjobs.jobs
    ADD COLUMN time_limit interval CHECK (time_limit > interval '0'),
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN cancelled_by text NOT NULL DEFAULT '';

-- By connection, so that one with many jobs hides nobody else's. The leader reads on from where it was in each: what
-- lies before holds only claimed entries, which no vacuum removes while an old snapshot is open.
DROP INDEX leaderjobs.jobs_claimable;
CREATE INDEX jobs_claimable ON leaderjobs.jobs (cluster, connection, priority, scheduled_at, id)
    WHERE state IN ('scheduled', 'available', 'retryable', 'uncertain');

-- What `enqueue` knows of the configuration: written by the member that leads.
CREATE TABLE leaderjobs.syncs (
    cluster text NOT NULL,
    name text NOT NULL,
    connection text NOT NULL,
    streams text[] NOT NULL,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    time_limit interval,
    PRIMARY KEY (cluster, name)
);
COMMENT ON TABLE leaderjobs.syncs IS 'The syncs of the configuration that leads, for enqueuing from SQL';

-- Tells whoever leads that a job of this connection and priority may run from this instant on. Identical ones of one
-- transaction are told once. Without a connection: look at everything.
CREATE FUNCTION leaderjobs.wake(
    in_cluster text, in_connection text DEFAULT NULL, in_priority integer DEFAULT NULL, in_at timestamptz DEFAULT NULL
) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT pg_notify('leaderjobs', CASE
        WHEN in_connection IS NULL THEN in_cluster || ' rescan'
        ELSE in_cluster || ' due ' || in_connection || ' ' || in_priority || ' '
            || (extract(epoch FROM in_at) * 1000000)::bigint
    END);
END;
