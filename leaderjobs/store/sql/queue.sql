-- name: strands
-- The first waiting job of each connection, priority and kind, found by skipping along the index.
WITH RECURSIVE strand AS (
    (
        SELECT j.connection, j.priority, j.effect IS NOT NULL AS operations, j.scheduled_at, j.id
        FROM leaderjobs.jobs j
        WHERE j.cluster = %(cluster)s AND j.state IN ('scheduled', 'available', 'retryable', 'uncertain')
        ORDER BY j.connection, j.priority, (j.effect IS NOT NULL), j.scheduled_at, j.id
        LIMIT 1
    )
    UNION ALL
    SELECT n.*
    FROM strand s CROSS JOIN LATERAL (
        SELECT j.connection, j.priority, j.effect IS NOT NULL, j.scheduled_at, j.id
        FROM leaderjobs.jobs j
        WHERE j.cluster = %(cluster)s AND j.state IN ('scheduled', 'available', 'retryable', 'uncertain')
          AND (j.connection, j.priority, (j.effect IS NOT NULL)) > (s.connection, s.priority, s.operations)
        ORDER BY j.connection, j.priority, (j.effect IS NOT NULL), j.scheduled_at, j.id
        LIMIT 1
    ) n
)
SELECT connection, priority, operations, scheduled_at, id,
       CASE WHEN scheduled_at > now() THEN extract(epoch FROM scheduled_at - now())::double precision END AS wait
FROM strand
LIMIT %(most)s;

-- name: read
-- The jobs that come next in some strands, in order; `wait` is for those that are not due, by the database's clock.
SELECT s.place::integer, j.id, j.scheduled_at,
       CASE WHEN j.scheduled_at > now() THEN extract(epoch FROM j.scheduled_at - now())::double precision END
FROM unnest(
    %(connections)s::text[], %(priorities)s::integer[], %(operations)s::boolean[], %(ats)s::timestamptz[],
    %(ids)s::bigint[]
) WITH ORDINALITY AS s (connection, priority, operations, at, id, place)
CROSS JOIN LATERAL (
    SELECT w.id, w.scheduled_at
    FROM leaderjobs.jobs w
    WHERE w.cluster = %(cluster)s AND w.connection = s.connection AND w.priority = s.priority
      AND (w.effect IS NOT NULL) = s.operations
      AND w.state IN ('scheduled', 'available', 'retryable', 'uncertain')
      AND (w.scheduled_at, w.id) > (s.at, s.id)
    ORDER BY w.scheduled_at, w.id
    LIMIT %(each)s
) j;

-- name: hold_effects
-- Before the ends: evidence that comes now either is seen there, or sees the job as it is after it.
SELECT FROM leaderjobs.effects WHERE id = ANY (%(effects)s) ORDER BY id FOR SHARE;

-- name: clear
-- Work got through, so nobody needs to act any more. Before `complete`: only an attempt that still runs may say so.
DELETE FROM leaderjobs.holds h
USING unnest(%(ids)s::bigint[], %(attempts)s::integer[]) AS f (id, attempt), leaderjobs.jobs j
WHERE j.id = f.id AND j.cluster = %(cluster)s AND h.cluster = j.cluster AND h.connection = j.connection
  AND CASE j.state WHEN 'running' THEN j.term = %(number)s AND j.attempt = f.attempt ELSE false END;

-- name: complete
-- How many of the attempts still ran under this term.
SELECT leaderjobs.complete(%(cluster)s, %(number)s, %(ids)s::bigint[], %(attempts)s::integer[]);

-- name: finish
-- Those of the attempts that still ran under this term.
SELECT id, state, scheduled_at FROM leaderjobs.finish(%(cluster)s, %(number)s, %(endings)s::jsonb);

-- name: claim
-- Of the wanted jobs those that may still start. One that runs under this very term was claimed by a transaction whose
-- acknowledgement was lost: who wants it does not run it, so it is handed out again, within the same attempt. (CASE, so
-- that the planner takes no index but that of the ids: of what was written since it last counted, it knows nothing.)
UPDATE leaderjobs.jobs
SET attempt = attempt + CASE state WHEN 'running' THEN 0 ELSE 1 END, state = 'running', term = %(number)s,
    member = %(member)s, started_at = now(), started_rows = progress_rows
WHERE id = ANY (%(ids)s::bigint[]) AND cluster = %(cluster)s
  AND CASE state
    WHEN 'running' THEN term = %(number)s
    ELSE state IN ('scheduled', 'available', 'retryable', 'uncertain') AND scheduled_at <= now()
      AND (cancel_requested_at IS NULL OR effect IS NOT NULL)
  END
RETURNING id, attempt, connection, effect, time_limit, target, streams, key, priority, max_attempts, scheduled_at,
          created_at, started_at, error, progress_stream, progress_pages, progress_rows, progress_stream_rows,
          progress_total, full_pull, since, until, begun, started_rows, schedule, fire_time, term, member;

-- name: states
-- How attempts that are no longer ours ended.
SELECT id, state, scheduled_at FROM leaderjobs.jobs WHERE cluster = %(cluster)s AND id = ANY (%(ids)s);

-- name: cancelled
-- By their ids: the index of what runs holds an entry for every job that ran while a snapshot is open.
SELECT id FROM leaderjobs.jobs
WHERE cluster = %(cluster)s AND id = ANY (%(ids)s) AND cancel_requested_at IS NOT NULL;

-- name: holds
-- How long each connection waits yet, by the database's clock.
SELECT connection, extract(epoch FROM until - now())::double precision AS wait
FROM leaderjobs.holds WHERE cluster = %(cluster)s;
