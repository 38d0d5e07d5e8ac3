-- name: load
-- One stream's marker.
SELECT connection, stream, sequence, rows, cursor, committed_at, term, resets
FROM leaderjobs.markers
WHERE cluster = %(cluster)s AND connection = %(connection)s AND stream = %(stream)s;

-- name: all
-- In one statement, so that a replica is compared with one moment.
SELECT connection, stream, sequence, rows, cursor, committed_at, term, resets
FROM leaderjobs.markers WHERE cluster = %(cluster)s ORDER BY connection, stream;

-- name: position
-- Every committed batch adds exactly one.
SELECT coalesce(sum(sequence), 0)::bigint AS position FROM leaderjobs.markers WHERE cluster = %(cluster)s;

-- name: reset
-- The sequence stays, or rows of before would be newer than all that comes; whoever goes on from before is refused.
UPDATE leaderjobs.markers
SET cursor = '{}', resets = resets + 1
WHERE cluster = %(cluster)s AND connection = %(connection)s AND stream = %(stream)s
RETURNING sequence;

-- name: drop_pile
-- What was staged or met belongs to the cursor that is forgotten.
SELECT leaderjobs.drop_pile(%(cluster)s, %(connection)s, %(stream)s);
