-- name: load
-- One stream's marker.
SELECT connection, stream, sequence, rows, cursor, committed_at, term
FROM leaderjobs.markers
WHERE cluster = %(cluster)s AND connection = %(connection)s AND stream = %(stream)s;

-- name: all
-- In one statement, so that a replica is compared with one moment.
SELECT connection, stream, sequence, rows, cursor, committed_at, term
FROM leaderjobs.markers WHERE cluster = %(cluster)s ORDER BY connection, stream;

-- name: position
-- Every committed batch adds exactly one.
SELECT coalesce(sum(sequence), 0)::bigint AS position FROM leaderjobs.markers WHERE cluster = %(cluster)s;
