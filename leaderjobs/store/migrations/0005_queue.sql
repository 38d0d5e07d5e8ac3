-- breaking: yes
-- Time limits, cancelling, a queue read by connection, and enqueuing from SQL. Breaking, because a program that does
-- not know cancelling would go on with what was cancelled.

ALTER TABLE leaderjobs.jobs
    ADD COLUMN time_limit interval CHECK (time_limit > interval '0'),
    ADD COLUMN cancel_requested_at timestamptz,
    ADD COLUMN cancelled_by text NOT NULL DEFAULT '';

-- By connection, so that one with many jobs hides nobody else's, and by kind, because syncs and operations of a
-- connection do not wait for each other. The leader reads on from where it was in each of these strands: what lies
-- before holds only claimed entries, which no vacuum removes while an old snapshot is open.
DROP INDEX leaderjobs.jobs_claimable;
CREATE INDEX jobs_claimable
    ON leaderjobs.jobs (cluster, connection, priority, (effect IS NOT NULL), scheduled_at, id)
    WHERE state IN ('scheduled', 'available', 'retryable', 'uncertain');

-- What `enqueue` knows of the configuration: written by the member that leads.
CREATE TABLE leaderjobs.syncs (
    cluster text NOT NULL,
    name text NOT NULL,
    connection text NOT NULL,
    streams text[] NOT NULL,
    -- Of the connection: what may be asked for, and what of it for a span of time.
    known text[] NOT NULL,
    windowed text[] NOT NULL,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    time_limit interval,
    PRIMARY KEY (cluster, name)
);
COMMENT ON TABLE leaderjobs.syncs IS 'The syncs of the configuration that leads, for enqueuing from SQL';

-- Tells whoever leads that a job of this connection and priority may run from this instant on. Identical ones of one
-- transaction are told once. Without a connection: look at everything.
CREATE FUNCTION leaderjobs.wake(
    in_cluster text, in_connection text DEFAULT NULL, in_priority integer DEFAULT NULL, in_at timestamptz DEFAULT NULL
) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT pg_notify('leaderjobs', CASE
        WHEN in_connection IS NULL THEN in_cluster || ' rescan'
        ELSE in_cluster || ' due ' || in_connection || ' ' || in_priority || ' '
            || (extract(epoch FROM in_at) * 1000000)::bigint
    END);
END;

-- Evidence: what became of a stamped send. True whoever brings it, so no term is asked; first come, never changed.
-- Where the effect waits, whoever leads looks at it again at once. Where it has ended otherwise, that is said.
CREATE OR REPLACE FUNCTION leaderjobs.record(
    in_cluster text, in_effect uuid, in_stamp uuid, in_told text, in_code text, in_message text, in_status integer,
    in_replayed boolean, in_should_retry boolean, in_request_id text, in_remote_id text, in_facts jsonb,
    in_retry_after interval
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    recorded integer;
BEGIN
    -- The effect first, as `stamp` does: two orders of locking would wait for each other.
    PERFORM FROM leaderjobs.effects x WHERE x.id = in_effect AND x.cluster = in_cluster FOR UPDATE;
    UPDATE leaderjobs.effect_sends s
    SET ended_at = clock_timestamp(), told = in_told, code = in_code, message = in_message, status = in_status,
        replayed = in_replayed, should_retry = in_should_retry, request_id = in_request_id,
        remote_id = in_remote_id, facts = in_facts, retry_after = in_retry_after
    WHERE s.effect = in_effect AND s.stamp = in_stamp AND s.told IS NULL
    RETURNING s.n INTO recorded;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE leaderjobs.effects x
    SET version = x.version + 1,
        contradiction = CASE
            WHEN x.state = 'failed' AND in_told = 'done'
              OR x.state = 'succeeded' AND x.resolved_by <> '' AND in_told = 'declined'
            THEN 'send ' || recorded || ' came back later and says: ' || in_told || ' ' || in_code
            ELSE x.contradiction
        END
    WHERE x.id = in_effect;
    UPDATE leaderjobs.jobs j
    SET scheduled_at = now()
    WHERE j.effect = in_effect AND j.state IN ('uncertain', 'retryable') AND j.scheduled_at > now();
    IF FOUND THEN
        PERFORM leaderjobs.wake(in_cluster, j.connection, j.priority, j.scheduled_at)
        FROM leaderjobs.jobs j WHERE j.effect = in_effect;
    END IF;
    RETURN true;
END
$$;

-- Ends attempts that did all of their work; how many of them still ran under this term.
-- The settings, and CASE where AND would say the same: each job is found by its id. By jobs_running, which the planner
-- would take where few jobs run, it would walk every entry that an open snapshot keeps from being removed.
CREATE FUNCTION leaderjobs.complete(in_cluster text, in_number bigint, in_ids bigint[], in_attempts integer[])
RETURNS integer
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    ended bigint[];
BEGIN
    WITH done AS (
        UPDATE leaderjobs.jobs j
        SET state = 'completed', finished_at = now(), error = NULL
        FROM unnest(in_ids, in_attempts) AS f (id, attempt)
        WHERE j.id = f.id AND j.cluster = in_cluster
          AND CASE j.state WHEN 'running' THEN j.term = in_number AND j.attempt = f.attempt ELSE false END
        RETURNING j.id
    )
    SELECT array_agg(done.id) INTO ended FROM done;
    IF ended IS NOT NULL THEN
        PERFORM pg_notify('leaderjobs', in_cluster);
        -- Of completed jobs it wants to know only which targets work again.
        IF EXISTS (SELECT FROM leaderjobs.breaches b WHERE b.cluster = in_cluster) THEN
            PERFORM leaderjobs.after_ended(in_cluster, ended);
        END IF;
    END IF;
    RETURN coalesce(cardinality(ended), 0);
END
$$;

-- Ends attempts in any other way, by `in_endings`: an array of objects as `store.queue` writes them. Returns those
-- that still ran under this term. A sync that a person cancelled meanwhile does not begin another attempt.
CREATE FUNCTION leaderjobs.finish(in_cluster text, in_number bigint, in_endings jsonb)
RETURNS TABLE (id bigint, state text, scheduled_at timestamptz)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    ended_ids bigint[];
    ended_states text[];
    ended_dues timestamptz[];
BEGIN
    WITH given AS (
        SELECT g.*, g.delay * interval '1 second' AS later
        FROM jsonb_to_recordset(in_endings) AS g (
            id bigint, attempt integer, outcome text, state text, spends boolean, back integer, delay double precision,
            error text, seen bigint, code text, person boolean)
    ), ended AS (
        UPDATE leaderjobs.jobs j
        SET state = CASE
                WHEN g.state IN ('available', 'retryable') AND j.cancel_requested_at IS NOT NULL AND j.effect IS NULL
                THEN 'cancelled'
                WHEN g.spends AND j.attempt >= j.max_attempts THEN 'discarded'
                ELSE g.state
            END,
            finished_at = CASE
                WHEN g.state IN ('completed', 'discarded', 'cancelled') OR g.spends AND j.attempt >= j.max_attempts
                  OR j.cancel_requested_at IS NOT NULL AND j.effect IS NULL
                THEN now()
            END,
            attempt = j.attempt - g.back,
            scheduled_at = CASE
                WHEN g.later IS NULL THEN j.scheduled_at
                -- The effect has changed since it was looked at: look again.
                WHEN (SELECT e.version FROM leaderjobs.effects e WHERE e.id = j.effect) <> g.seen THEN now()
                ELSE now() + g.later
            END,
            error = CASE WHEN g.state = 'available' THEN j.error ELSE g.error END,
            cancel_requested_at = CASE WHEN j.effect IS NULL THEN j.cancel_requested_at END,
            -- An attempt that is given back goes on with its progress; the next attempt begins anew.
            progress_stream = CASE WHEN g.state = 'retryable' THEN '' ELSE j.progress_stream END,
            progress_pages = CASE WHEN g.state = 'retryable' THEN 0 ELSE j.progress_pages END,
            progress_rows = CASE WHEN g.state = 'retryable' THEN 0 ELSE j.progress_rows END,
            progress_stream_rows = CASE WHEN g.state = 'retryable' THEN 0 ELSE j.progress_stream_rows END
        FROM given g
        WHERE j.id = g.id AND j.cluster = in_cluster
          AND CASE j.state WHEN 'running' THEN j.term = in_number AND j.attempt = g.attempt ELSE false END
        RETURNING j.id, j.state, j.scheduled_at, j.connection, j.member, j.started_at, g.attempt, g.outcome, g.error,
                  g.code, g.person, g.later
    ), told AS (
        INSERT INTO leaderjobs.attempts (cluster, job, attempt, term, member, started_at, outcome, error)
        SELECT in_cluster, n.id, n.attempt, in_number, n.member, n.started_at,
               CASE WHEN n.state IN ('cancelled', 'discarded') THEN n.state ELSE n.outcome END, n.error
        FROM ended n
        WHERE n.state <> 'completed'
    ), held AS (
        -- A probe that fails again prolongs the hold; `since` tells when it began.
        INSERT INTO leaderjobs.holds AS h (cluster, connection, code, message, until, person)
        SELECT DISTINCT ON (n.connection) in_cluster, n.connection, n.code, n.error, now() + n.later, n.person
        FROM ended n
        WHERE n.outcome = 'held'
        ORDER BY n.connection, n.later DESC
        ON CONFLICT (cluster, connection) DO UPDATE
        SET code = excluded.code, message = excluded.message, until = excluded.until, person = excluded.person
    )
    SELECT array_agg(n.id), array_agg(n.state), array_agg(n.scheduled_at) INTO ended_ids, ended_states, ended_dues
    FROM ended n;
    IF 'discarded' = ANY (ended_states) THEN
        PERFORM leaderjobs.after_ended(in_cluster, array_agg(n.id))
        FROM unnest(ended_ids, ended_states) AS n (id, state)
        WHERE n.state = 'discarded';
    END IF;
    IF ended_states && ARRAY['discarded', 'cancelled', 'uncertain'] THEN
        PERFORM pg_notify('leaderjobs', in_cluster);
    END IF;
    RETURN QUERY SELECT * FROM unnest(ended_ids, ended_states, ended_dues);
END
$$;

-- Takes back what older terms left running: dead by definition, whatever its age. A sync that takes its leaders down
-- with it is given up after many rescues without a committed page in between, an effect never is; a sync that a person
-- cancelled ends here. Returns how many there were.
CREATE FUNCTION leaderjobs.rescue(in_cluster text, in_number bigint, in_most integer, in_reason text) RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    rescued_ids bigint[];
    rescued_states text[];
BEGIN
    WITH rescued AS (
        UPDATE leaderjobs.jobs j
        SET state = w.state,
            finished_at = CASE WHEN w.state <> 'available' THEN now() END,
            error = CASE w.state WHEN 'discarded' THEN in_reason ELSE j.error END,
            cancel_requested_at = CASE WHEN j.effect IS NULL THEN j.cancel_requested_at END,
            attempt = j.attempt - 1,
            rescues = j.rescues + 1
        FROM (
            SELECT r.id, CASE
                WHEN r.effect IS NULL AND r.cancel_requested_at IS NOT NULL THEN 'cancelled'
                WHEN r.effect IS NULL AND r.rescues >= in_most THEN 'discarded'
                ELSE 'available'
            END AS state
            FROM leaderjobs.jobs r
            WHERE r.cluster = in_cluster AND r.state = 'running' AND r.term < in_number
            FOR UPDATE
        ) w
        WHERE j.id = w.id
        RETURNING j.id, j.state, j.attempt + 1 AS attempt, j.term, j.member, j.started_at,
                  CASE j.state WHEN 'discarded' THEN in_reason END AS error
    ), told AS (
        INSERT INTO leaderjobs.attempts (cluster, job, attempt, term, member, started_at, outcome, error)
        SELECT in_cluster, n.id, n.attempt, n.term, n.member, n.started_at,
               CASE n.state WHEN 'available' THEN 'rescued' ELSE n.state END, n.error
        FROM rescued n
    )
    SELECT array_agg(n.id), array_agg(n.state) INTO rescued_ids, rescued_states FROM rescued n;
    IF 'discarded' = ANY (rescued_states) THEN
        PERFORM leaderjobs.after_ended(in_cluster, array_agg(n.id))
        FROM unnest(rescued_ids, rescued_states) AS n (id, state)
        WHERE n.state = 'discarded';
    END IF;
    IF rescued_states && ARRAY['discarded', 'cancelled'] THEN
        PERFORM pg_notify('leaderjobs', in_cluster);
    END IF;
    RETURN coalesce(cardinality(rescued_ids), 0);
END
$$;

-- Replaces what `enqueue` knows of a cluster's configuration.
CREATE FUNCTION leaderjobs.publish_syncs(in_cluster text, in_syncs jsonb) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    DELETE FROM leaderjobs.syncs
    WHERE cluster = in_cluster AND name NOT IN (SELECT w->>'name' FROM jsonb_array_elements(in_syncs) w);
    INSERT INTO leaderjobs.syncs AS s (
        cluster, name, connection, streams, known, windowed, max_attempts, time_limit)
    SELECT in_cluster, w.name, w.connection, w.streams, w.known, w.windowed, w.max_attempts,
           make_interval(secs => w.time_limit)
    FROM jsonb_to_recordset(in_syncs) AS w (
        name text, connection text, streams text[], known text[], windowed text[], max_attempts integer,
        time_limit double precision)
    ON CONFLICT (cluster, name) DO UPDATE
    SET connection = excluded.connection, streams = excluded.streams, known = excluded.known,
        windowed = excluded.windowed, max_attempts = excluded.max_attempts, time_limit = excluded.time_limit
    WHERE (s.connection, s.streams, s.known, s.windowed, s.max_attempts, s.time_limit)
        IS DISTINCT FROM (excluded.connection, excluded.streams, excluded.known, excluded.windowed,
                          excluded.max_attempts, excluded.time_limit);
END;

-- Refuses what is wrong with a request to enqueue a sync, with what is allowed; the rules are those of the command.
CREATE FUNCTION leaderjobs.check_enqueue(
    in_cluster text, in_target text, in_key text, in_at timestamptz, in_delay interval, in_priority integer,
    in_streams text[], in_on_conflict text, in_full boolean, in_since timestamptz, in_until timestamptz,
    in_time_limit interval
) RETURNS leaderjobs.syncs
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry leaderjobs.syncs;
    wanted text[];
    known text;
    wrong text;
BEGIN
    SELECT * INTO entry FROM leaderjobs.syncs s WHERE s.cluster = in_cluster AND s.name = in_target;
    IF entry.name IS NULL THEN
        SELECT string_agg(s.name, ', ' ORDER BY s.name) INTO known FROM leaderjobs.syncs s WHERE s.cluster = in_cluster;
        IF known IS NULL THEN
            RAISE EXCEPTION 'cluster % has no syncs: they are known once a member has led; known clusters: %',
                quote_nullable(left(in_cluster, 80)),
                coalesce((SELECT string_agg(DISTINCT s.cluster, ', ') FROM leaderjobs.syncs s), 'none')
                USING ERRCODE = 'LJ003';
        END IF;
        RAISE EXCEPTION 'no sync is called %; known: %', quote_nullable(left(in_target, 80)), concat(
            known, CASE WHEN position('.' IN in_target) > 0
                THEN '; enqueue operations with leaderjobs enqueue or leaderjobs.Client' END)
            USING ERRCODE = 'LJ003';
    END IF;
    wanted := coalesce(in_streams, entry.streams);
    wrong := CASE
        WHEN in_key IS NOT NULL AND (length(in_key) NOT BETWEEN 1 AND 200 OR in_key ~ '[[:cntrl:]]')
            THEN 'key: allowed: 1 to 200 printable characters'
        WHEN in_at IS NOT NULL AND in_delay IS NOT NULL
            THEN 'at and delay exclude each other; give one of them'
        WHEN in_delay < interval '0'
            THEN format('delay = %s: allowed: an interval that is not negative', in_delay)
        WHEN NOT isfinite(in_at) OR NOT isfinite(in_since) OR NOT isfinite(in_until)
            THEN 'at, since and until: allowed: instants that are not infinite'
        WHEN in_priority IS NULL OR in_priority NOT BETWEEN 0 AND 9
            THEN format('priority = %s: allowed: a whole number from 0 to 9', coalesce(in_priority::text, 'NULL'))
        WHEN in_on_conflict IS NULL OR in_on_conflict NOT IN ('error', 'skip', 'replace')
            THEN format('on_conflict = %s: allowed: error, skip, replace', quote_nullable(in_on_conflict))
        WHEN in_full IS NULL
            THEN 'full_pull = NULL: allowed: true, false'
        WHEN in_time_limit NOT BETWEEN interval '1 second' AND interval '30 days'
            THEN format('time_limit = %s: allowed: 1 second to 30 days', in_time_limit)
        WHEN cardinality(wanted) = 0 OR array_position(wanted, NULL) IS NOT NULL
            THEN 'streams: allowed: names of streams, at least one'
        WHEN NOT wanted <@ entry.known
            THEN format('%s has no stream %s; it has: %s', entry.connection, (
                SELECT quote_literal(left(w, 80)) FROM unnest(wanted) w WHERE w <> ALL (entry.known) LIMIT 1
            ), array_to_string(entry.known, ', '))
        WHEN (SELECT count(DISTINCT w) FROM unnest(wanted) w) <> cardinality(wanted)
            THEN 'streams: allowed: each stream once'
        WHEN in_full AND (in_since IS NOT NULL OR in_until IS NOT NULL)
            THEN 'full_pull pulls everything; leave out since and until, or full_pull'
        WHEN in_since >= in_until
            THEN 'since must be before until'
        WHEN (in_since IS NOT NULL OR in_until IS NOT NULL) AND NOT wanted <@ entry.windowed
            THEN format('%s.%s cannot be pulled for a span of time; this can: %s', entry.connection, (
                SELECT w FROM unnest(wanted) w WHERE w <> ALL (entry.windowed) LIMIT 1
            ), coalesce(nullif(array_to_string(entry.windowed, ', '), ''), 'no stream of it'))
    END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'LJ003';
    END IF;
    RETURN entry;
END
$$;

-- Puts a sync into the queue, in the transaction that calls it: the leader is told with its commit. Returns the job's
-- id; where an unfinished job has the key, that one's (skip), or it becomes what is asked for unless it runs (replace).
-- A role needs USAGE on the schema and EXECUTE on this function, nothing else: what it does is done as its owner.
CREATE FUNCTION leaderjobs.enqueue(
    target text, cluster text DEFAULT 'leaderjobs', key text DEFAULT NULL, at timestamptz DEFAULT NULL,
    delay interval DEFAULT NULL, priority integer DEFAULT 5, streams text[] DEFAULT NULL,
    on_conflict text DEFAULT 'skip', full_pull boolean DEFAULT false, since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL, time_limit interval DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    entry leaderjobs.syncs;
    there leaderjobs.jobs;
    made bigint;
    due timestamptz := coalesce(
        enqueue.at, now() + least(coalesce(enqueue.delay, interval '0'), interval '3650 days'));
BEGIN
    entry := leaderjobs.check_enqueue(
        enqueue.cluster, enqueue.target, enqueue.key, enqueue.at, enqueue.delay, enqueue.priority, enqueue.streams,
        enqueue.on_conflict, enqueue.full_pull, enqueue.since, enqueue.until, enqueue.time_limit);
    FOR tried IN 1..10 LOOP
        -- As in store/sql/enqueueing.sql.
        INSERT INTO leaderjobs.jobs AS j (
            cluster, target, connection, streams, state, key, priority, max_attempts, scheduled_at, full_pull, since,
            until, time_limit)
        VALUES (
            enqueue.cluster, entry.name, entry.connection, coalesce(enqueue.streams, entry.streams),
            CASE WHEN due > now() THEN 'scheduled' ELSE 'available' END, enqueue.key, enqueue.priority,
            entry.max_attempts, due, enqueue.full_pull, enqueue.since, enqueue.until,
            coalesce(enqueue.time_limit, entry.time_limit))
        ON CONFLICT (cluster, key) WHERE key IS NOT NULL AND state NOT IN ('completed', 'discarded', 'cancelled')
        DO UPDATE SET
            streams = excluded.streams, state = excluded.state, priority = excluded.priority,
            max_attempts = j.attempt + excluded.max_attempts, scheduled_at = excluded.scheduled_at,
            full_pull = excluded.full_pull, since = excluded.since, until = excluded.until,
            time_limit = excluded.time_limit, begun = '{}', rescues = 0, error = NULL, started_rows = 0,
            cancel_requested_at = NULL, cancelled_by = '', progress_stream = '', progress_pages = 0,
            progress_rows = 0, progress_stream_rows = 0, progress_total = NULL
        WHERE enqueue.on_conflict = 'replace' AND j.state <> 'running' AND j.effect IS NULL
          AND j.target = excluded.target AND j.connection = excluded.connection
        RETURNING id INTO made;
        IF made IS NOT NULL THEN
            PERFORM leaderjobs.wake(enqueue.cluster, entry.connection, enqueue.priority, due);
            RETURN made;
        END IF;
        SELECT j.* INTO there FROM leaderjobs.jobs j
        WHERE j.cluster = enqueue.cluster AND j.key = enqueue.key
          AND j.state NOT IN ('completed', 'discarded', 'cancelled');
        IF there.id IS NULL THEN
            CONTINUE;
        ELSIF enqueue.on_conflict = 'error' THEN
            RAISE EXCEPTION 'job % (%) has the key % and is %; wait until it has ended, or enqueue with on_conflict % or %',
                there.id, there.target, quote_literal(enqueue.key), there.state, 'skip', 'replace'
                USING ERRCODE = 'LJ003';
        ELSIF enqueue.on_conflict = 'skip' THEN
            RETURN there.id;
        ELSIF (there.target, there.connection) <> (entry.name, entry.connection) OR there.effect IS NOT NULL THEN
            RAISE EXCEPTION 'job % has the key % and is of %, not of %; choose another key',
                there.id, quote_literal(enqueue.key), there.target, entry.name USING ERRCODE = 'LJ003';
        ELSIF there.state = 'running' THEN
            RETURN there.id;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'jobs with the key % come and go too fast; enqueue again', quote_literal(enqueue.key)
        USING ERRCODE = 'LJ003';
END
$$;
REVOKE ALL ON FUNCTION leaderjobs.enqueue FROM PUBLIC;
