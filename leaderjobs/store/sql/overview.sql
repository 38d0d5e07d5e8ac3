-- name: jobs_of_connections
-- One look at the table for every count that is shown.
SELECT connection, state, count(*) AS jobs
FROM leaderjobs.jobs WHERE cluster = %(cluster)s
GROUP BY connection, state
ORDER BY connection, state;

-- name: last_fires
-- The newest of each schedule that is there; one step in the key of the fires for each.
SELECT f.*
FROM leaderjobs.schedules s
CROSS JOIN LATERAL (
    SELECT * FROM leaderjobs.fires f
    WHERE f.cluster = s.cluster AND f.schedule = s.name
    ORDER BY f.fire_time DESC
    LIMIT 1
) f
WHERE s.cluster = %(cluster)s;
