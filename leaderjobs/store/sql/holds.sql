-- name: all
-- Longest hold first.
SELECT connection, code, message, since, until, person
FROM leaderjobs.holds WHERE cluster = %(cluster)s ORDER BY since, connection;

-- name: clear
-- Work got through, so nobody needs to act any more.
DELETE FROM leaderjobs.holds h
USING leaderjobs.jobs j
WHERE h.cluster = %(cluster)s AND h.connection = %(connection)s
  AND j.id = %(id)s AND j.cluster = h.cluster AND j.state = 'running' AND j.term = %(number)s AND j.attempt = %(attempt)s;

-- name: release
-- The jobs that waited with the hold are due at once.
WITH freed AS (
    DELETE FROM leaderjobs.holds WHERE cluster = %(cluster)s AND connection = %(connection)s RETURNING connection
), due AS (
    UPDATE leaderjobs.jobs j
    SET scheduled_at = now()
    FROM freed
    WHERE j.cluster = %(cluster)s AND j.connection = freed.connection
      AND j.state = 'retryable' AND j.scheduled_at > now()
)
SELECT leaderjobs.wake(%(cluster)s) FROM freed;
