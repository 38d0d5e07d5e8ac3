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

-- name: rescue
-- How many jobs older terms had left running.
SELECT leaderjobs.rescue(%(cluster)s, %(number)s, %(most)s, %(reason)s) AS jobs;

-- name: prune
-- A bounded bite of a walk along the ids: an order by the end would need an index, which every end would pay for.
WITH bite AS MATERIALIZED (
    SELECT id, cluster, state, finished_at
    FROM leaderjobs.jobs
    WHERE id > %(after)s
    ORDER BY id
    LIMIT %(most)s
), gone AS (
    DELETE FROM leaderjobs.jobs j
    USING bite b JOIN unnest(%(states)s::text[], %(ages)s::interval[]) AS kept (state, age) ON kept.state = b.state
    WHERE j.id = b.id AND j.state = b.state AND b.cluster = %(cluster)s AND b.finished_at < now() - kept.age
    RETURNING j.id
), attempts AS (
    DELETE FROM leaderjobs.attempts a USING gone g WHERE a.cluster = %(cluster)s AND a.job = g.id
), lines AS (
    DELETE FROM leaderjobs.job_lines l USING gone g WHERE l.cluster = %(cluster)s AND l.job = g.id
)
SELECT max(id) AS last, count(*) AS jobs FROM bite;

-- name: prune_fires
-- Those that could still be caught up with are what tells that they were.
DELETE FROM leaderjobs.fires
WHERE (cluster, schedule, fire_time) IN (
    SELECT f.cluster, f.schedule, f.fire_time
    FROM leaderjobs.fires f
    WHERE f.cluster = %(cluster)s AND f.fire_time < now() - %(age)s
      AND NOT EXISTS (
        SELECT FROM leaderjobs.schedules s
        WHERE s.cluster = f.cluster AND s.name = f.schedule AND f.fire_time >= s.decided_until - s.catch_up_window
      )
    LIMIT %(most)s
);

-- name: listen
-- One channel for all clusters; the payload is the cluster's name.
LISTEN leaderjobs;
