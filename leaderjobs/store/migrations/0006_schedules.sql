-- breaking: no
-- Cron entries, and what became of each of their fire times.

CREATE TABLE leaderjobs.schedules (
    cluster text NOT NULL,
    name text NOT NULL,
    source text NOT NULL CHECK (source IN ('file', 'person')),
    version bigint NOT NULL DEFAULT 1,
    target text NOT NULL,
    arguments jsonb NOT NULL DEFAULT '{}',
    cron text NOT NULL,
    time_zone text NOT NULL,
    jitter interval NOT NULL,
    catch_up text NOT NULL CHECK (catch_up IN ('skip', 'latest', 'all')),
    catch_up_window interval NOT NULL,
    overlap text NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel_running')),
    pause_on_failure boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Every fire time up to here has been decided; it never falls.
    decided_until timestamptz NOT NULL DEFAULT now(),
    paused_at timestamptz,
    paused_by text NOT NULL DEFAULT '',
    paused_reason text NOT NULL DEFAULT '',
    -- How many fire times were decided so, by outcome.
    counts jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (cluster, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);
COMMENT ON TABLE leaderjobs.schedules IS 'Cron entries, from the configuration that leads or added by hand';

CREATE TABLE leaderjobs.fires (
    cluster text NOT NULL,
    schedule text NOT NULL,
    fire_time timestamptz NOT NULL,
    time_zone text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('enqueued', 'missed', 'overlapped', 'queue_full', 'refused')),
    reason text NOT NULL DEFAULT '',
    backfill boolean NOT NULL DEFAULT false,
    job bigint,
    term bigint,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What makes a fire time yield at most one job, whoever leads.
    PRIMARY KEY (cluster, schedule, fire_time)
) WITH (fillfactor = 90);
COMMENT ON TABLE leaderjobs.fires IS 'Decided fire times; a job and its fire are inserted in one transaction';
CREATE INDEX fires_age ON leaderjobs.fires (cluster, fire_time);

ALTER TABLE leaderjobs.jobs
    ADD COLUMN schedule text,
    ADD COLUMN fire_time timestamptz;
CREATE INDEX jobs_of_schedule ON leaderjobs.jobs (cluster, schedule)
    WHERE schedule IS NOT NULL AND state NOT IN ('completed', 'discarded', 'cancelled');

-- An effect and its job, together or not at all; nothing where the business key is there already. In `in_effect` the
-- headers are text, because jsonb would put them into another order, and the body is base64.
CREATE FUNCTION leaderjobs.plan(
    in_cluster text, in_effect jsonb, in_priority integer, in_at timestamptz,
    in_schedule text DEFAULT NULL, in_fire_time timestamptz DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO leaderjobs.effects (
        id, cluster, connection, operation, business_key, arguments, method, path, headers, body, idempotency_key,
        state, max_attempts)
    SELECT e.id, in_cluster, e.connection, e.operation, e.business_key, e.arguments, e.method, e.path,
           e.headers::json, decode(e.body, 'base64'), e.idempotency_key, 'planned', e.max_attempts
    FROM jsonb_to_record(in_effect) AS e (
        id uuid, connection text, operation text, business_key text, arguments jsonb, method text, path text,
        headers text, body text, idempotency_key text, max_attempts integer)
    -- Without a target: racing wishes have the same id as well, and may meet in either index.
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO leaderjobs.jobs (
        cluster, target, connection, streams, state, priority, max_attempts, scheduled_at, effect, schedule, fire_time)
    VALUES (
        in_cluster, concat(in_effect->>'connection', '.', in_effect->>'operation'), in_effect->>'connection', '{}',
        CASE WHEN in_at > now() THEN 'scheduled' ELSE 'available' END,
        in_priority, (in_effect->>'max_attempts')::integer, in_at, (in_effect->>'id')::uuid, in_schedule, in_fire_time)
    RETURNING id INTO made;
    PERFORM leaderjobs.wake(in_cluster, in_effect->>'connection', in_priority, in_at);
    RETURN made;
END
$$;

-- The job that a schedule asks for: of a sync, or of an effect; nothing where the effect is there already.
CREATE FUNCTION leaderjobs.fire(
    in_cluster text, in_schedule text, in_fire_time timestamptz, in_at timestamptz, in_wish jsonb
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    made bigint;
BEGIN
    IF in_wish ? 'effect' THEN
        RETURN leaderjobs.plan(
            in_cluster, in_wish->'effect', (in_wish->>'priority')::integer, in_at, in_schedule, in_fire_time);
    END IF;
    INSERT INTO leaderjobs.jobs (
        cluster, target, connection, streams, state, priority, max_attempts, scheduled_at, time_limit, schedule,
        fire_time)
    SELECT in_cluster, w.target, w.connection, w.streams,
           CASE WHEN in_at > now() THEN 'scheduled' ELSE 'available' END,
           w.priority, w.max_attempts, in_at, w.time_limit, in_schedule, in_fire_time
    FROM jsonb_to_record(in_wish) AS w (
        target text, connection text, streams text[], priority integer, max_attempts integer, time_limit interval)
    RETURNING id INTO made;
    PERFORM leaderjobs.wake(in_cluster, in_wish->>'connection', (in_wish->>'priority')::integer, in_at);
    RETURN made;
END
$$;

-- Ends the syncs of a schedule that have not ended: those that wait at once, one that runs at its next page's end.
-- An operation goes on: it may have acted already.
CREATE FUNCTION leaderjobs.cancel_of_schedule(in_cluster text, in_schedule text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE leaderjobs.jobs
    SET state = 'cancelled', finished_at = now(), cancel_requested_at = coalesce(cancel_requested_at, now()),
        cancelled_by = concat('schedule ', in_schedule)
    WHERE cluster = in_cluster AND schedule = in_schedule AND effect IS NULL
      AND state IN ('scheduled', 'available', 'retryable');
    IF FOUND THEN
        PERFORM pg_notify('leaderjobs', in_cluster);
    END IF;
    UPDATE leaderjobs.jobs
    SET cancel_requested_at = now(), cancelled_by = concat('schedule ', in_schedule)
    WHERE cluster = in_cluster AND schedule = in_schedule AND effect IS NULL
      AND state = 'running' AND cancel_requested_at IS NULL;
    IF FOUND THEN
        PERFORM pg_notify('leaderjobs', concat(in_cluster, ' cancel'));
    END IF;
END
$$;

-- Decides the fire times of one schedule, in their order: {"state": "decided", "fires": [...]}, each with its outcome,
-- reason and job. Fewer come back where the rest waits for room in the queue: that is so under catch_up = all only,
-- which loses none. Nothing happens, and the state says so, when the schedule is not as it was read ("stale": changed,
-- paused, removed, decided on by another) or a fire time is not due by this clock ("early").
CREATE FUNCTION leaderjobs.decide(
    in_cluster text, in_name text, in_version bigint, in_from timestamptz, in_until timestamptz, in_missed bigint,
    in_term bigint, in_most_queued integer, in_fires jsonb
) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    entry leaderjobs.schedules;
    fire record;
    until timestamptz := in_until;
    waiting bigint;
    tally jsonb;
    decided jsonb := '[]';
    made bigint;
    ruling text;
    why text;
BEGIN
    -- The jobs before the schedule, as whoever ends a job does (pause_failed). The commit of a large page may hold one
    -- for long: other schedules must not wait for it.
    PERFORM set_config('lock_timeout', '500ms', true);
    PERFORM FROM leaderjobs.jobs j
    JOIN leaderjobs.schedules s ON s.cluster = j.cluster AND s.name = j.schedule AND s.overlap = 'cancel_running'
    WHERE j.cluster = in_cluster AND j.schedule = in_name AND j.effect IS NULL
      AND j.state NOT IN ('completed', 'discarded', 'cancelled')
    ORDER BY j.id FOR UPDATE OF j;
    SELECT * INTO entry FROM leaderjobs.schedules WHERE cluster = in_cluster AND name = in_name FOR UPDATE;
    IF NOT FOUND OR entry.version <> in_version OR entry.decided_until <> in_from OR entry.paused_at IS NOT NULL THEN
        RETURN '{"state": "stale"}';
    ELSIF in_until > clock_timestamp() THEN
        RETURN '{"state": "early"}';
    ELSIF in_until < in_from THEN
        RAISE EXCEPTION 'schedule % is decided until % already', in_name, in_from;
    END IF;
    tally := entry.counts;
    IF in_missed > 0 THEN
        tally := tally || jsonb_build_object('missed', coalesce((tally->>'missed')::bigint, 0) + in_missed);
    END IF;
    FOR fire IN
        SELECT * FROM jsonb_to_recordset(in_fires) AS f (
            fire_time timestamptz, outcome text, reason text, at timestamptz, wish jsonb)
        ORDER BY f.fire_time
    LOOP
        ruling := fire.outcome;
        why := fire.reason;
        made := NULL;
        IF ruling = 'enqueued' THEN
            IF entry.overlap = 'cancel_running' THEN
                PERFORM leaderjobs.cancel_of_schedule(in_cluster, in_name);
            END IF;
            SELECT count(*) INTO waiting FROM leaderjobs.jobs
            WHERE cluster = in_cluster AND schedule = in_name AND state NOT IN ('completed', 'discarded', 'cancelled');
            IF entry.overlap = 'skip' AND waiting > 0 THEN
                ruling := 'overlapped';
                why := (
                    SELECT concat('job ', min(id), ' has not ended') FROM leaderjobs.jobs
                    WHERE cluster = in_cluster AND schedule = in_name
                      AND state NOT IN ('completed', 'discarded', 'cancelled'));
            ELSIF waiting >= in_most_queued AND entry.catch_up = 'all' THEN
                until := greatest(in_from, (decided->-1->>'fire_time')::timestamptz);
                EXIT;
            ELSIF waiting >= in_most_queued THEN
                ruling := 'queue_full';
                why := concat(waiting, ' jobs of it have not ended');
            END IF;
        END IF;
        INSERT INTO leaderjobs.fires (cluster, schedule, fire_time, time_zone, outcome, reason, term)
        VALUES (in_cluster, in_name, fire.fire_time, entry.time_zone, ruling, why, in_term)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            -- A backfill was here before.
            decided := decided || jsonb_build_object('fire_time', fire.fire_time, 'outcome', NULL);
            CONTINUE;
        END IF;
        IF ruling = 'enqueued' THEN
            made := leaderjobs.fire(in_cluster, in_name, fire.fire_time, fire.at, fire.wish);
            IF made IS NULL THEN
                ruling := 'refused';
                why := concat(
                    'effect ', fire.wish->'effect'->>'id', ' for ', fire.wish->'effect'->>'business_key',
                    ' is there already');
            END IF;
            UPDATE leaderjobs.fires SET outcome = ruling, reason = why, job = made
            WHERE cluster = in_cluster AND schedule = in_name AND fire_time = fire.fire_time;
        END IF;
        tally := tally || jsonb_build_object(ruling, coalesce((tally->>ruling)::bigint, 0) + 1);
        decided := decided || jsonb_build_object(
            'fire_time', fire.fire_time, 'outcome', ruling, 'reason', why, 'job', made);
    END LOOP;
    UPDATE leaderjobs.schedules SET decided_until = until, counts = tally
    WHERE cluster = in_cluster AND name = in_name;
    RETURN jsonb_build_object('state', 'decided', 'fires', decided);
END
$$;

-- A person's wish for a fire time that has no job: its row and its job together. {"before": how it was decided,
-- "job": the new one}; no job where there is one already, or the effect is.
CREATE FUNCTION leaderjobs.backfill(
    in_cluster text, in_name text, in_fire_time timestamptz, in_time_zone text, in_wish jsonb
) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    before leaderjobs.fires;
    made bigint;
BEGIN
    INSERT INTO leaderjobs.fires (cluster, schedule, fire_time, time_zone, outcome, backfill)
    VALUES (in_cluster, in_name, in_fire_time, in_time_zone, 'enqueued', true)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO before FROM leaderjobs.fires
        WHERE cluster = in_cluster AND schedule = in_name AND fire_time = in_fire_time FOR UPDATE;
        IF before.job IS NOT NULL THEN
            RETURN jsonb_build_object('before', before.outcome, 'there', before.job);
        END IF;
    END IF;
    made := leaderjobs.fire(in_cluster, in_name, in_fire_time, clock_timestamp(), in_wish);
    UPDATE leaderjobs.fires
    SET outcome = CASE WHEN made IS NULL THEN 'refused' ELSE 'enqueued' END, job = made, backfill = true, term = NULL,
        reason = CASE
            WHEN made IS NULL THEN concat(
                'effect ', in_wish->'effect'->>'id', ' for ', in_wish->'effect'->>'business_key', ' is there already')
            ELSE '' END,
        decided_at = clock_timestamp()
    WHERE cluster = in_cluster AND schedule = in_name AND fire_time = in_fire_time;
    RETURN jsonb_build_object('before', before.outcome, 'job', made);
END
$$;

-- Called with jobs that have just ended: a schedule that wants it stops when one of its jobs is discarded.
CREATE FUNCTION leaderjobs.pause_failed(in_cluster text, ended bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE leaderjobs.schedules s
    SET paused_at = now(), paused_by = 'leaderjobs', version = s.version + 1,
        paused_reason = concat('job ', failed.id, ' was discarded: ', failed.error)
    FROM (
        SELECT DISTINCT ON (j.schedule) j.schedule, j.id, j.error FROM leaderjobs.jobs j
        WHERE j.id = ANY (ended) AND j.cluster = in_cluster AND j.state = 'discarded' AND j.schedule IS NOT NULL
        ORDER BY j.schedule, j.id
    ) failed
    WHERE s.cluster = in_cluster AND s.name = failed.schedule AND s.pause_on_failure AND s.paused_at IS NULL;
    IF FOUND THEN
        PERFORM pg_notify('leaderjobs', concat(in_cluster, ' schedules'));
    END IF;
END
$$;
