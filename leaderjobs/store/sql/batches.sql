-- name: advance
-- First, so that a page read from a stale marker costs nothing.
SELECT * FROM leaderjobs.advance(
    %(cluster)s, %(connection)s, %(stream)s, %(expected)s, %(rows)s, %(cursor)s, %(number)s);

-- name: land
-- The page's rows and deletions, straight into the table.
SELECT leaderjobs.land(
    %(schema)s, %(stream)s, %(key)s, %(cluster)s, %(connection)s, %(ord)s, %(body)s, %(upserts)s, %(deletes)s);

-- name: retire
-- The page was the whole stream.
SELECT leaderjobs.retire(
    %(schema)s, %(stream)s, %(key)s, %(cluster)s, %(connection)s, %(ord)s, %(body)s, %(upserts)s);

-- name: stage
-- Kept until the update it belongs to is complete.
INSERT INTO leaderjobs.stages (cluster, connection, stream, page, body, upserts, deletes)
VALUES (%(cluster)s, %(connection)s, %(stream)s, %(ord)s, %(body)s, %(upserts)s, %(deletes)s);

-- name: apply_stages
-- Everything staged before this page, in order; the page itself lands after it.
SELECT leaderjobs.apply_stages(%(schema)s, %(stream)s, %(key)s, %(cluster)s, %(connection)s);

-- name: drop_stages
-- The update was given up.
DELETE FROM leaderjobs.stages
WHERE cluster = %(cluster)s AND connection = %(connection)s AND stream = %(stream)s;

-- name: progress
-- The job's own count, and the proof that this attempt still runs it.
SELECT leaderjobs.progress(%(cluster)s, %(id)s, %(number)s, %(attempt)s, %(stream)s, %(rows)s);
