-- breaking: no
-- Cron entries, and what became of each of their fire times.

CREATE TABLE leaderjobs.schedules (
    cluster text NOT NULL,
    name text NOT NULL,
    source text NOT NULL CHECK (source IN ('file', 'person')),
    version bigint NOT NULL DEFAULT 1,
    target text NOT NULL,
    arguments jsonb NOT NULL DEFAULT '{}',
    cron text NOT NULL,
    time_zone text NOT NULL,
    jitter interval NOT NULL,
    catch_up text NOT NULL CHECK (catch_up IN ('skip', 'latest', 'all')),
    catch_up_window interval NOT NULL,
    overlap text NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel_running')),
    pause_on_failure boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Every fire time up to here has been decided; it never falls.
    decided_until timestamptz NOT NULL DEFAULT now(),
    paused_at timestamptz,
    paused_by text NOT NULL DEFAULT '',
    paused_reason text NOT NULL DEFAULT '',
    -- How many fire times were decided so, by outcome.
    counts jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (cluster, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);
COMMENT ON TABLE leaderjobs.schedules IS 'Cron entries, from the configuration that leads or added by hand';

CREATE TABLE leaderjobs.fires (
    cluster text NOT NULL,
    schedule text NOT NULL,
    fire_time timestamptz NOT NULL,
    time_zone text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('enqueued', 'missed', 'overlapped', 'queue_full', 'refused')),
    reason text NOT NULL DEFAULT '',
    backfill boolean NOT NULL DEFAULT false,
    job bigint,
    term bigint,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What makes a fire time yield at most one job, whoever leads.
    PRIMARY KEY (cluster, schedule, fire_time)
);
COMMENT ON TABLE leaderjobs.fires IS 'Decided fire times; a job and its fire are inserted in one transaction';

ALTER TABLE leaderjobs.jobs
    ADD COLUMN schedule text,
    ADD COLUMN fire_time timestamptz;
CREATE INDEX jobs_of_schedule ON leaderjobs.jobs (cluster, schedule)
    WHERE schedule IS NOT NULL AND state NOT IN ('completed', 'discarded', 'cancelled');
