-- name: enqueue
-- No row comes back when an unfinished job has the key; the notification goes out with the commit.
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
SELECT made.*, pg_notify('leaderjobs', made.cluster) FROM made;

-- name: unfinished
-- The one job that holds the key.
SELECT * FROM leaderjobs.jobs
WHERE cluster = %(cluster)s AND key = %(key)s AND state NOT IN ('completed', 'discarded', 'cancelled');

-- name: get
-- Ids are of the whole table; a job of another cluster is not there.
SELECT * FROM leaderjobs.jobs WHERE cluster = %(cluster)s AND id = %(id)s;

-- name: counts
-- States without a job are filled in by the caller.
SELECT state, count(*) AS jobs FROM leaderjobs.jobs WHERE cluster = %(cluster)s GROUP BY state;

-- name: running
-- Oldest attempt first.
SELECT * FROM leaderjobs.jobs WHERE cluster = %(cluster)s AND state = 'running' ORDER BY started_at, id;

-- name: discarded
-- Newest failure first.
SELECT * FROM leaderjobs.jobs
WHERE cluster = %(cluster)s AND state = 'discarded'
ORDER BY finished_at DESC, id DESC
LIMIT %(limit)s;

-- name: claim
-- Due by the database's clock. One per lane, and none of a lane that is busy: the syncs of a connection share one,
-- every operation has its own, up to a bound per connection. None of a connection that is held. A row that is
-- running under this very term although its lane is not busy is one whose claim or finish was never
-- acknowledged: nobody runs it, so it is claimed again, within the same attempt.
WITH due AS (
    SELECT id, connection, effect, coalesce(effect::text, connection) AS lane, priority, scheduled_at, 1 AS more
    FROM leaderjobs.jobs
    WHERE cluster = %(cluster)s AND state IN ('scheduled', 'available', 'retryable', 'uncertain')
      AND scheduled_at <= now()
    UNION ALL
    SELECT id, connection, effect, coalesce(effect::text, connection), -1, scheduled_at, 0
    FROM leaderjobs.jobs
    WHERE cluster = %(cluster)s AND state = 'running' AND term = %(number)s
), first AS (
    SELECT DISTINCT ON (lane) *
    FROM due
    WHERE lane <> ALL (%(busy)s)
      AND NOT EXISTS (
        SELECT FROM leaderjobs.holds h
        WHERE h.cluster = %(cluster)s AND h.connection = due.connection AND h.until > now()
      )
    ORDER BY lane, priority, scheduled_at, id
), placed AS (
    SELECT *, row_number() OVER (
        PARTITION BY connection, effect IS NULL ORDER BY priority, scheduled_at, id
    ) + coalesce((
        SELECT taken.count FROM unnest(%(operating)s::text[], %(counts)s::bigint[]) AS taken (name, count)
        WHERE taken.name = first.connection
    ), 0) AS at_once
    FROM first
), chosen AS (
    SELECT id, more, row_number() OVER (ORDER BY priority, scheduled_at, id) AS place
    FROM placed
    WHERE effect IS NULL OR at_once <= %(operations)s
    ORDER BY priority, scheduled_at, id
    LIMIT %(limit)s
), claimed AS (
    UPDATE leaderjobs.jobs j
    SET state = 'running', attempt = j.attempt + chosen.more, term = %(number)s, member = %(member)s,
        started_at = now(), started_rows = j.progress_rows
    FROM chosen
    WHERE j.id = chosen.id
      AND CASE chosen.more
            WHEN 0 THEN j.state = 'running'
            ELSE j.state IN ('scheduled', 'available', 'retryable', 'uncertain')
          END
    RETURNING j.*, chosen.place
)
SELECT * FROM claimed ORDER BY place;

-- name: hold_effect
-- Before `finish`: evidence that comes now either is seen there, or sees the job as it is after it.
SELECT version FROM leaderjobs.effects WHERE id = %(effect)s FOR SHARE;

-- name: finish
-- Only the attempt that runs the job may end it; who waits for the job is told when nothing moves it on.
WITH ended AS (
    UPDATE leaderjobs.jobs
    SET state = CASE WHEN %(spends)s AND attempt >= max_attempts THEN 'discarded' ELSE %(state)s END,
        attempt = attempt - %(back)s,
        scheduled_at = CASE
            WHEN %(delay)s::interval IS NULL THEN scheduled_at
            -- The effect has changed since it was looked at: look again.
            WHEN (SELECT e.version FROM leaderjobs.effects e WHERE e.id = jobs.effect) <> %(seen)s THEN now()
            ELSE now() + %(delay)s::interval
        END,
        finished_at = CASE
            WHEN %(state)s IN ('completed', 'discarded', 'cancelled') OR %(spends)s AND attempt >= max_attempts THEN now()
        END,
        error = CASE WHEN %(state)s = 'available' THEN error ELSE %(error)s END,
        -- An attempt that is given back goes on with its progress; the next attempt begins anew.
        progress_stream = CASE WHEN %(state)s = 'retryable' THEN '' ELSE progress_stream END,
        progress_pages = CASE WHEN %(state)s = 'retryable' THEN 0 ELSE progress_pages END,
        progress_rows = CASE WHEN %(state)s = 'retryable' THEN 0 ELSE progress_rows END,
        progress_stream_rows = CASE WHEN %(state)s = 'retryable' THEN 0 ELSE progress_stream_rows END
    WHERE id = %(id)s AND cluster = %(cluster)s AND state = 'running' AND term = %(number)s AND attempt = %(attempt)s
    RETURNING state
)
SELECT state, CASE
    WHEN state IN ('completed', 'discarded', 'cancelled', 'uncertain') THEN pg_notify('leaderjobs', %(cluster)s)
END
FROM ended;

-- name: state
-- How an attempt that is no longer ours ended.
SELECT state FROM leaderjobs.jobs WHERE cluster = %(cluster)s AND id = %(id)s;

-- name: rescue
-- Running under an older term is dead by definition, whatever its age. A sync that takes its leaders down
-- with it is given up after many rescues without a committed page in between; an effect never is.
UPDATE leaderjobs.jobs
SET state = CASE WHEN rescues >= %(most)s AND effect IS NULL THEN 'discarded' ELSE 'available' END,
    finished_at = CASE WHEN rescues >= %(most)s AND effect IS NULL THEN now() END,
    error = CASE WHEN rescues >= %(most)s AND effect IS NULL THEN %(reason)s ELSE error END,
    attempt = attempt - 1,
    rescues = rescues + 1
WHERE cluster = %(cluster)s AND state = 'running' AND term < %(number)s;

-- name: prune
-- A bounded bite, oldest first, so that no clean-up holds locks for long.
DELETE FROM leaderjobs.jobs
WHERE id IN (
    SELECT j.id
    FROM leaderjobs.jobs j
    JOIN unnest(%(states)s::text[], %(ages)s::interval[]) AS kept (state, age) ON kept.state = j.state
    WHERE j.cluster = %(cluster)s AND j.finished_at < now() - kept.age
    ORDER BY j.finished_at
    LIMIT %(most)s
);

-- name: next_due
-- What is due already does not count: whoever asks has just claimed.
SELECT min(waiting.due) - now() AS wait
FROM (
    SELECT greatest(j.scheduled_at, h.until) AS due
    FROM leaderjobs.jobs j
    LEFT JOIN leaderjobs.holds h ON h.cluster = j.cluster AND h.connection = j.connection
    WHERE j.cluster = %(cluster)s AND j.state IN ('scheduled', 'available', 'retryable', 'uncertain')
) waiting
WHERE waiting.due > now();

-- name: listen
-- One channel for all clusters; the payload is the cluster's name.
LISTEN leaderjobs;
