-- name: job
-- One row and one statement, so one moment: a job that is claimed meanwhile is not seen both waiting and running.
-- What comes before it is counted up to a bound, along the index that the leader reads by.
SELECT j.*, now() AS now,
       t.partition AS term_partition, t.number AS term_number, t.token AS term_token, t.origin AS term_origin,
       t.member AS term_member, t.raised_at AS term_raised_at,
       h.code AS hold_code, h.message AS hold_message, h.since AS hold_since, h.until AS hold_until,
       h.person AS hold_person,
       e.state AS effect_state, e.code AS effect_code, e.reason AS effect_reason,
       e.looked_up_at AS effect_looked_up_at, e.first_sent_at AS effect_first_sent_at,
       a.outcome AS last_outcome, a.attempt AS last_attempt,
       (SELECT count(*) FROM leaderjobs.syncs s WHERE s.cluster = c.name) AS syncs_known,
       EXISTS (
           SELECT FROM leaderjobs.syncs s WHERE s.cluster = c.name AND s.connection = j.connection
       ) AS connection_known,
       (
           SELECT coalesce(json_agg(r), '[]')
           FROM (
               SELECT o.id, o.target, o.connection, o.effect IS NOT NULL AS operation, o.started_at
               FROM leaderjobs.jobs o
               WHERE o.cluster = c.name AND o.state = 'running'
               ORDER BY o.started_at, o.id
               LIMIT %(most_running)s
           ) r
       ) AS running,
       (
           SELECT count(*)
           FROM (
               SELECT FROM leaderjobs.jobs o
               WHERE o.cluster = c.name AND o.connection = j.connection
                 AND o.state IN ('scheduled', 'available', 'retryable', 'uncertain')
                 AND (o.priority, o.scheduled_at, o.id) < (j.priority, j.scheduled_at, j.id)
                 AND o.scheduled_at <= now() AND (o.effect IS NOT NULL) = (j.effect IS NOT NULL)
               LIMIT %(most_ahead)s
           ) o
       ) AS ahead
FROM (SELECT %(cluster)s::text AS name) c
LEFT JOIN leaderjobs.terms t ON t.cluster = c.name AND t.partition = %(partition)s
LEFT JOIN leaderjobs.jobs j ON j.cluster = c.name AND j.id = %(id)s
LEFT JOIN leaderjobs.holds h ON h.cluster = c.name AND h.connection = j.connection
LEFT JOIN leaderjobs.effects e ON e.id = j.effect
LEFT JOIN LATERAL (
    SELECT l.outcome, l.attempt
    FROM leaderjobs.attempts l
    WHERE l.cluster = c.name AND l.job = j.id
    ORDER BY l.n DESC
    LIMIT 1
) a ON true;

-- name: schedule
-- The schedule, its term, and one fire with the job that came of it: of the minute `at`, else the newest that was no
-- backfill.
SELECT s.*, now() AS now,
       t.partition AS term_partition, t.number AS term_number, t.token AS term_token, t.origin AS term_origin,
       t.member AS term_member, t.raised_at AS term_raised_at,
       f.fire_time AS fire_time, f.time_zone AS fire_time_zone, f.outcome AS fire_outcome, f.reason AS fire_reason,
       f.backfill AS fire_backfill, f.job AS fire_job, f.term AS fire_term, f.decided_at AS fire_decided_at,
       o.state AS job_state, o.finished_at AS job_finished_at, o.error AS job_error
FROM (SELECT %(cluster)s::text AS name) c
LEFT JOIN leaderjobs.terms t ON t.cluster = c.name AND t.partition = %(partition)s
LEFT JOIN leaderjobs.schedules s ON s.cluster = c.name AND s.name = %(name)s
LEFT JOIN LATERAL (
    SELECT l.*
    FROM leaderjobs.fires l
    WHERE l.cluster = c.name AND l.schedule = %(name)s
      AND CASE
            WHEN %(at)s::timestamptz IS NULL THEN NOT l.backfill
            ELSE l.fire_time >= %(at)s AND l.fire_time < %(at)s + interval '1 minute'
          END
    ORDER BY l.fire_time DESC
    LIMIT 1
) f ON true
LEFT JOIN leaderjobs.jobs o ON o.cluster = c.name AND o.id = f.job;
