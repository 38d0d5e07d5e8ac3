-- name: advance
-- First, so that a page read from a stale marker costs nothing.
SELECT * FROM leaderjobs.advance(
    %(cluster)s, %(connection)s, %(stream)s, %(expected)s, %(resets)s, %(rows)s, %(cursor)s, %(number)s);

-- name: land
-- The page's rows and deletions, straight into the table.
SELECT leaderjobs.land(
    %(schema)s, %(stream)s, %(keys)s, %(cluster)s, %(connection)s, %(ord)s, %(timed)s, %(ordered)s, %(body)s,
    %(upserts)s, %(deletes)s, NULL, NULL);

-- name: land_apart
-- The same of a page that was taken apart.
SELECT leaderjobs.land(
    %(schema)s, %(stream)s, %(keys)s, %(cluster)s, %(connection)s, %(ord)s, %(timed)s, false, NULL, NULL, NULL,
    %(docs)s, %(gone)s);

-- name: retire
-- The page was the whole stream, or the whole scope.
SELECT leaderjobs.retire(
    %(schema)s, %(stream)s, %(keys)s, %(cluster)s, %(connection)s, %(ord)s, %(body)s, %(upserts)s,
    %(scope_column)s, %(scope_value)s);

-- name: meet
-- A walk has met the page's rows.
SELECT leaderjobs.meet(
    %(keys)s, %(cluster)s, %(connection)s, %(pile)s, %(label)s, %(body)s, %(upserts)s);

-- name: sweep
-- The walk is over: what it has not met is gone.
SELECT leaderjobs.sweep(
    %(schema)s, %(stream)s, %(cluster)s, %(connection)s, %(pile)s, %(ord)s, %(scope_column)s, %(scope_value)s);

-- name: stage
-- Kept until the update it belongs to is complete.
INSERT INTO leaderjobs.stages (cluster, connection, pile, page, body, upserts, deletes, ord, ordered)
VALUES (%(cluster)s, %(connection)s, %(pile)s, %(expected)s + 1, %(body)s, %(upserts)s, %(deletes)s, %(order)s,
        %(ordered)s);

-- name: apply_stages
-- Everything staged before this page, in order; the page itself lands after it.
SELECT leaderjobs.apply_stages(
    %(schema)s, %(stream)s, %(keys)s, %(cluster)s, %(connection)s, %(pile)s, %(scope_column)s::text IS NOT NULL);

-- name: drop_pile
-- The update or walk was given up.
SELECT leaderjobs.drop_pile(%(cluster)s, %(connection)s, %(pile)s);

-- name: progress
-- The job's own count, and the proof that this attempt still runs it.
SELECT leaderjobs.progress(
    %(cluster)s, %(id)s, %(number)s, %(attempt)s, %(stream)s, %(rows)s, %(total)s);

-- name: begin_full
-- A stream of a full pull begins anew, once a job: the sequence stays, the cursor and what is under way are forgotten.
WITH begun AS (
    UPDATE leaderjobs.jobs
    SET begun = array_append(begun, %(stream)s)
    WHERE id = %(id)s AND cluster = %(cluster)s AND state = 'running' AND term = %(number)s AND attempt = %(attempt)s
      AND %(stream)s <> ALL (begun)
    RETURNING id
), forgotten AS (
    UPDATE leaderjobs.markers m
    SET cursor = '{}', resets = m.resets + 1
    FROM begun
    WHERE m.cluster = %(cluster)s AND m.connection = %(connection)s AND m.stream = %(stream)s
)
SELECT leaderjobs.drop_pile(%(cluster)s, %(connection)s, %(stream)s) FROM begun;
