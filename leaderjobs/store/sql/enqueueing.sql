-- name: enqueue
-- No row comes back when an unfinished job has the key; who leads is told with the commit.
WITH made AS (
    INSERT INTO leaderjobs.jobs (cluster, target, connection, streams, state, key, priority, max_attempts, scheduled_at,
                                 full_pull, since, until, time_limit, schedule, fire_time)
    SELECT %(cluster)s, %(target)s, %(connection)s, %(streams)s,
           CASE WHEN due.at > now() THEN 'scheduled' ELSE 'available' END,
           %(key)s, %(priority)s, %(max_attempts)s, due.at, %(full)s, %(since)s, %(until)s,
           %(time_limit)s, %(schedule)s, %(fire_time)s
    FROM (SELECT coalesce(%(at)s::timestamptz, now() + coalesce(%(delay)s::interval, interval '0')) AS at) due
    ON CONFLICT (cluster, key) WHERE key IS NOT NULL AND state NOT IN ('completed', 'discarded', 'cancelled')
    DO NOTHING
    RETURNING *
)
SELECT made.*, true AS created, leaderjobs.wake(made.cluster, made.connection, made.priority, made.scheduled_at)
FROM made;

-- name: enqueue_or_replace
-- As `enqueue`; an unfinished job of the key becomes what is asked for, under its row's lock: a claim either is
-- there first, and then no row comes back, or sees what it became. Its attempts go on being counted, for they are
-- the names of its attempts; those spent before do not count against the new wish. (xmax: no other sign tells an
-- inserted row from a changed one.)
WITH made AS (
    INSERT INTO leaderjobs.jobs AS j (
        cluster, target, connection, streams, state, key, priority, max_attempts, scheduled_at, full_pull, since,
        until, time_limit, schedule, fire_time)
    SELECT %(cluster)s, %(target)s, %(connection)s, %(streams)s,
           CASE WHEN due.at > now() THEN 'scheduled' ELSE 'available' END,
           %(key)s, %(priority)s, %(max_attempts)s, due.at, %(full)s, %(since)s, %(until)s,
           %(time_limit)s, %(schedule)s, %(fire_time)s
    FROM (SELECT coalesce(%(at)s::timestamptz, now() + coalesce(%(delay)s::interval, interval '0')) AS at) due
    ON CONFLICT (cluster, key) WHERE key IS NOT NULL AND state NOT IN ('completed', 'discarded', 'cancelled')
    DO UPDATE SET
        streams = excluded.streams, state = excluded.state, priority = excluded.priority,
        max_attempts = j.attempt + excluded.max_attempts, scheduled_at = excluded.scheduled_at,
        full_pull = excluded.full_pull, since = excluded.since, until = excluded.until,
        time_limit = excluded.time_limit, begun = '{}', rescues = 0, error = NULL, started_rows = 0,
        cancel_requested_at = NULL, cancelled_by = '',
        progress_stream = '', progress_pages = 0, progress_rows = 0, progress_stream_rows = 0, progress_total = NULL
    WHERE j.state <> 'running' AND j.effect IS NULL
      AND j.target = excluded.target AND j.connection = excluded.connection
    RETURNING j.*, xmax = 0 AS created
)
SELECT made.*, leaderjobs.wake(made.cluster, made.connection, made.priority, made.scheduled_at) FROM made;

-- name: unfinished
-- The one job that holds the key.
SELECT *, false AS created FROM leaderjobs.jobs
WHERE cluster = %(cluster)s AND key = %(key)s AND state NOT IN ('completed', 'discarded', 'cancelled');
