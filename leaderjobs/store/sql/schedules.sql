-- name: all
-- By name.
SELECT * FROM leaderjobs.schedules WHERE cluster = %(cluster)s ORDER BY name;

-- name: clock
-- That by which fire times are due.
SELECT clock_timestamp() AS now;

-- name: get
-- One of this cluster.
SELECT * FROM leaderjobs.schedules WHERE cluster = %(cluster)s AND name = %(name)s;

-- name: names
-- For the message about a name that is not there.
SELECT name FROM leaderjobs.schedules WHERE cluster = %(cluster)s ORDER BY name LIMIT %(limit)s;

-- name: add
-- No row comes back when the name is taken.
WITH made AS (
    INSERT INTO leaderjobs.schedules (
        cluster, name, source, target, arguments, cron, time_zone, jitter, catch_up, catch_up_window, overlap,
        pause_on_failure)
    VALUES (
        %(cluster)s, %(name)s, 'person', %(target)s, %(arguments)s, %(cron)s, %(time_zone)s, %(jitter)s, %(catch_up)s,
        %(catch_up_window)s, %(overlap)s, %(pause_on_failure)s)
    ON CONFLICT DO NOTHING
    RETURNING *
)
SELECT made.*, pg_notify('leaderjobs', made.cluster || ' schedules') FROM made;

-- name: remove
-- A person's only; its fires are kept.
WITH gone AS (
    DELETE FROM leaderjobs.schedules WHERE cluster = %(cluster)s AND name = %(name)s AND source = 'person'
    RETURNING cluster
)
SELECT pg_notify('leaderjobs', gone.cluster || ' schedules') FROM gone;

-- name: pause
-- Who paused it first, and why, stays.
WITH paused AS (
    UPDATE leaderjobs.schedules
    SET paused_at = now(), paused_by = %(by)s, paused_reason = %(reason)s, version = version + 1
    WHERE cluster = %(cluster)s AND name = %(name)s AND paused_at IS NULL
    RETURNING *
)
SELECT paused.*, pg_notify('leaderjobs', paused.cluster || ' schedules') FROM paused;

-- name: resume
-- What came due in the pause is not fired.
WITH resumed AS (
    UPDATE leaderjobs.schedules
    SET paused_at = NULL, paused_by = '', paused_reason = '', version = version + 1,
        decided_until = greatest(decided_until, clock_timestamp())
    WHERE cluster = %(cluster)s AND name = %(name)s AND paused_at IS NOT NULL
    RETURNING *
)
SELECT resumed.*, pg_notify('leaderjobs', resumed.cluster || ' schedules') FROM resumed;

-- name: fires
-- The newest first.
SELECT * FROM leaderjobs.fires
WHERE cluster = %(cluster)s AND schedule = %(name)s
ORDER BY fire_time DESC
LIMIT %(limit)s;

-- name: fires_between
-- How fire times were decided, the oldest first.
SELECT * FROM leaderjobs.fires
WHERE cluster = %(cluster)s AND schedule = %(name)s AND fire_time >= %(start)s AND fire_time < %(end)s
ORDER BY fire_time;

-- name: fire
-- By hand: a job without a fire time.
SELECT leaderjobs.fire(%(cluster)s, %(name)s, NULL, clock_timestamp(), %(wish)s) AS job;

-- name: backfill
-- A fire time that has no job gets one, and its row.
SELECT leaderjobs.backfill(%(cluster)s, %(name)s, %(fire_time)s, %(time_zone)s, %(wish)s) AS made;

-- name: publish
-- The schedules of the file become those of the configuration that leads. A change of when it fires counts from now
-- on; a person's is left alone, and said.
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(%(specs)s) AS w (
        name text, target text, arguments jsonb, cron text, time_zone text, jitter interval, catch_up text,
        catch_up_window interval, overlap text, pause_on_failure boolean)
), changed AS (
    UPDATE leaderjobs.schedules s
    SET target = w.target, arguments = w.arguments, cron = w.cron, time_zone = w.time_zone, jitter = w.jitter,
        catch_up = w.catch_up, catch_up_window = w.catch_up_window, overlap = w.overlap,
        pause_on_failure = w.pause_on_failure, version = s.version + 1,
        decided_until = CASE
            WHEN (s.cron, s.time_zone) = (w.cron, w.time_zone) THEN s.decided_until
            ELSE greatest(s.decided_until, clock_timestamp())
        END
    FROM wanted w
    WHERE s.cluster = %(cluster)s AND s.name = w.name AND s.source = 'file'
      AND (s.target, s.arguments, s.cron, s.time_zone, s.jitter, s.catch_up, s.catch_up_window, s.overlap,
           s.pause_on_failure)
       IS DISTINCT FROM
          (w.target, w.arguments, w.cron, w.time_zone, w.jitter, w.catch_up, w.catch_up_window, w.overlap,
           w.pause_on_failure)
    RETURNING s.name
), added AS (
    INSERT INTO leaderjobs.schedules (
        cluster, name, source, target, arguments, cron, time_zone, jitter, catch_up, catch_up_window, overlap,
        pause_on_failure)
    SELECT %(cluster)s, w.name, 'file', w.target, w.arguments, w.cron, w.time_zone, w.jitter, w.catch_up,
           w.catch_up_window, w.overlap, w.pause_on_failure
    FROM wanted w
    ON CONFLICT DO NOTHING
    RETURNING name
), removed AS (
    DELETE FROM leaderjobs.schedules s
    WHERE s.cluster = %(cluster)s AND s.source = 'file' AND NOT EXISTS (SELECT FROM wanted w WHERE w.name = s.name)
    RETURNING s.name
), differences AS (
    SELECT name, 'changed' AS what FROM changed
    UNION ALL SELECT name, 'added' FROM added
    UNION ALL SELECT name, 'removed' FROM removed
), told AS (
    SELECT pg_notify('leaderjobs', %(cluster)s || ' schedules') FROM differences LIMIT 1
)
SELECT name, what FROM differences LEFT JOIN told ON true
UNION ALL
SELECT s.name, 'taken' FROM wanted w
JOIN leaderjobs.schedules s ON s.cluster = %(cluster)s AND s.name = w.name AND s.source = 'person';

-- name: decide
-- One schedule's due fire times, in one transaction with their jobs.
SELECT leaderjobs.decide(
    %(cluster)s, %(name)s, %(version)s, %(from)s, %(until)s, %(missed)s, %(number)s, %(queued)s, %(fires)s) AS decided;

-- name: prune
-- A bounded bite of the oldest: of what is younger no backfill makes a second job.
DELETE FROM leaderjobs.fires
WHERE ctid IN (
    SELECT f.ctid FROM leaderjobs.fires f
    WHERE f.cluster = %(cluster)s AND f.fire_time < clock_timestamp() - %(age)s::interval
    ORDER BY f.fire_time
    LIMIT %(most)s
);
