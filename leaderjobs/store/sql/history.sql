-- name: lines
-- What was said, in order.
SELECT n, attempt, at, line, left_out FROM leaderjobs.job_lines
WHERE cluster = %(cluster)s AND job = %(job)s AND n > %(after)s
ORDER BY n
LIMIT %(limit)s;

-- name: attempts
-- The one that runs, or that completed the job, stands in the job's own row.
SELECT attempt, term, member, started_at, ended_at, outcome, error
FROM (
    SELECT n, attempt, term, member, started_at, ended_at, outcome, error
    FROM leaderjobs.attempts WHERE cluster = %(cluster)s AND job = %(job)s
    UNION ALL
    SELECT NULL, attempt, term, member, started_at, finished_at, state, NULL
    FROM leaderjobs.jobs
    WHERE id = %(job)s AND cluster = %(cluster)s AND state IN ('running', 'completed')
) a
ORDER BY n NULLS LAST;

-- name: add
-- Numbered in the order in which they are given.
INSERT INTO leaderjobs.job_lines (cluster, job, attempt, at, line, left_out)
SELECT %(cluster)s, said.job, said.attempt, said.at, said.line, said.left_out
FROM unnest(
    %(jobs)s::bigint[], %(attempts)s::integer[], %(ats)s::timestamptz[], %(lines)s::text[], %(left_out)s::integer[]
) WITH ORDINALITY AS said (job, attempt, at, line, left_out, place)
ORDER BY said.place;

-- name: trim
-- The newest lines of each attempt are kept; the oldest of them says how many went before it.
WITH oldest AS (
    SELECT given.job, given.attempt, (
        SELECT l.n FROM leaderjobs.job_lines l
        WHERE l.cluster = %(cluster)s AND l.job = given.job AND l.attempt = given.attempt
        ORDER BY l.n DESC OFFSET %(most)s - 1 LIMIT 1
    ) AS n
    FROM unnest(%(jobs)s::bigint[], %(attempts)s::integer[]) AS given (job, attempt)
), gone AS (
    DELETE FROM leaderjobs.job_lines l
    USING oldest o
    WHERE l.cluster = %(cluster)s AND l.job = o.job AND l.attempt = o.attempt AND l.n < o.n
    RETURNING o.job, o.n, 1 + l.left_out AS lines
), counted AS (
    SELECT job, n, sum(lines) AS lines FROM gone GROUP BY job, n
)
UPDATE leaderjobs.job_lines l
SET left_out = l.left_out + counted.lines
FROM counted
WHERE l.cluster = %(cluster)s AND l.job = counted.job AND l.n = counted.n;
