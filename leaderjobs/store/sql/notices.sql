-- name: pending
-- Whom of `hooks` nobody has told yet, the oldest notice first.
SELECT id, event, target, schedule, job, attempt, term, member, error, at, since, told, now() - at AS age
FROM leaderjobs.notices
WHERE cluster = %(cluster)s AND NOT told @> %(hooks)s::text[]
ORDER BY id
LIMIT %(limit)s;

-- name: told
-- Told twice is kept once.
UPDATE leaderjobs.notices
SET told = told || %(hook)s::text
WHERE cluster = %(cluster)s AND id = ANY (%(ids)s::bigint[]) AND %(hook)s::text <> ALL (told);

-- name: prune
-- A bounded bite, whoever was told.
DELETE FROM leaderjobs.notices
WHERE id IN (
    SELECT id FROM leaderjobs.notices
    WHERE cluster = %(cluster)s AND at < now() - %(age)s::interval
    ORDER BY id
    LIMIT %(most)s
);

-- name: breaches
-- The longest first.
SELECT target, since, job FROM leaderjobs.breaches WHERE cluster = %(cluster)s ORDER BY since, target;
