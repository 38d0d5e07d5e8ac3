-- name: find
-- Newest first, below an id; every condition that is not given lets all through.
SELECT j.* FROM leaderjobs.jobs j
WHERE j.cluster = %(cluster)s AND j.id < %(before)s
  AND (%(ids)s::bigint[] IS NULL OR j.id = ANY (%(ids)s))
  AND (%(states)s::text[] IS NULL OR j.state = ANY (%(states)s))
  AND (%(target)s::text IS NULL OR j.target = %(target)s)
  AND (%(connection)s::text IS NULL OR j.connection = %(connection)s)
  AND (%(schedule)s::text IS NULL OR j.schedule = %(schedule)s)
  AND (%(since)s::timestamptz IS NULL OR j.created_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR j.created_at < %(until)s)
  AND (%(error)s::text IS NULL OR strpos(lower(j.error), lower(%(error)s)) > 0)
ORDER BY j.id DESC
LIMIT %(limit)s;

-- name: cancelled_by
-- Who asked to cancel, which is of no use to whoever runs the job.
SELECT cancelled_by FROM leaderjobs.jobs WHERE cluster = %(cluster)s AND id = %(id)s;

-- name: keys_held
-- Unfinished jobs that have one of these keys.
SELECT key, id FROM leaderjobs.jobs
WHERE cluster = %(cluster)s AND key = ANY (%(keys)s) AND state NOT IN ('completed', 'discarded', 'cancelled');

-- name: retry
-- Only what is still as it was found; locked in the order of ids, as everybody who locks many of them must.
-- The streams whose full pull was begun stay so: it goes on from its marker.
WITH locked AS (
    SELECT j.id FROM leaderjobs.jobs j
    WHERE j.cluster = %(cluster)s AND j.id = ANY (%(ids)s)
      AND j.state IN ('discarded', 'cancelled') AND j.effect IS NULL
    ORDER BY j.id
    FOR UPDATE
)
UPDATE leaderjobs.jobs j
SET state = 'available', attempt = 0, rescues = 0, scheduled_at = now(), finished_at = NULL,
    cancel_requested_at = NULL, cancelled_by = '', started_rows = 0,
    progress_stream = '', progress_pages = 0, progress_rows = 0, progress_stream_rows = 0, progress_total = NULL
FROM locked
WHERE j.id = locked.id
RETURNING j.id;

-- name: rescan
-- Many jobs of any connection and priority may be due now.
SELECT leaderjobs.wake(%(cluster)s);

-- name: cancel
-- What runs is asked to end at the next page's end; everything else ends here.
WITH locked AS (
    SELECT j.id, j.state FROM leaderjobs.jobs j
    WHERE j.cluster = %(cluster)s AND j.id = ANY (%(ids)s) AND j.effect IS NULL
      AND j.state IN ('scheduled', 'available', 'retryable', 'running')
    ORDER BY j.id
    FOR UPDATE
)
UPDATE leaderjobs.jobs j
SET state = CASE locked.state WHEN 'running' THEN 'running' ELSE 'cancelled' END,
    finished_at = CASE WHEN locked.state <> 'running' THEN now() END,
    cancel_requested_at = coalesce(j.cancel_requested_at, now()),
    cancelled_by = %(who)s
FROM locked
WHERE j.id = locked.id
RETURNING j.id, j.state;

-- name: told_cancel
-- Whoever waits for one of the jobs looks again, and whoever runs one ends it.
SELECT pg_notify('leaderjobs', %(cluster)s), pg_notify('leaderjobs', %(cluster)s || ' cancel');

-- name: prunable
-- How many, by state.
SELECT state, count(*) AS jobs FROM leaderjobs.jobs
WHERE cluster = %(cluster)s AND state = ANY (%(states)s) AND finished_at < now() - %(age)s::interval
GROUP BY state;

-- name: prune_bite
-- A bounded bite of what ended before, upwards from an id, so that no clean-up looks at a job twice or holds locks
-- for long. What is known of the attempts goes with the job.
WITH bite AS (
    SELECT j.id, j.state FROM leaderjobs.jobs j
    WHERE j.cluster = %(cluster)s AND j.id > %(after)s AND j.state = ANY (%(states)s)
      AND j.finished_at < now() - %(age)s::interval
    ORDER BY j.id
    LIMIT %(most)s
    FOR UPDATE
), gone AS (
    DELETE FROM leaderjobs.jobs j USING bite WHERE j.id = bite.id
), attempts AS (
    DELETE FROM leaderjobs.attempts a USING bite WHERE a.cluster = %(cluster)s AND a.job = bite.id
), lines AS (
    DELETE FROM leaderjobs.job_lines l USING bite WHERE l.cluster = %(cluster)s AND l.job = bite.id
)
SELECT max(id) AS last, state, count(*) AS jobs FROM bite GROUP BY state;
