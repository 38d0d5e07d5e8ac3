-- breaking: yes
-- The ledger of effects: a write to a third party is stamped here before it is sent. Breaking, because a program
-- that does not know it would take an operation's job for a sync without streams, and call it completed.

CREATE TABLE leaderjobs.effects (
    id uuid PRIMARY KEY,
    cluster text NOT NULL,
    connection text NOT NULL,
    operation text NOT NULL,
    business_key text NOT NULL,
    arguments jsonb NOT NULL,
    -- The request, but for credentials: every send is this, to the byte.
    method text NOT NULL,
    path text NOT NULL,
    headers json NOT NULL,
    body bytea NOT NULL,
    idempotency_key text NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('planned', 'sending', 'succeeded', 'failed', 'uncertain', 'cancelled')),
    version bigint NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    send_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    first_sent_at timestamptz,
    settled_at timestamptz,
    looked_up_at timestamptz,
    code text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    remote_id text NOT NULL DEFAULT '',
    facts jsonb NOT NULL DEFAULT '{}',
    by_other boolean NOT NULL DEFAULT false,
    resolved_by text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',
    contradiction text NOT NULL DEFAULT '',
    -- What makes it happen once, whoever asks and however often; so rows are never deleted.
    UNIQUE (cluster, connection, operation, business_key),
    CHECK ((send_count = 0) = (first_sent_at IS NULL)),
    CHECK (state <> 'planned' OR send_count = 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE leaderjobs.effects IS 'The ledger: one row per write to a third party that must take effect once';

CREATE INDEX effects_open ON leaderjobs.effects (cluster, state) WHERE state IN ('planned', 'sending', 'uncertain');
CREATE INDEX effects_contradicted ON leaderjobs.effects (cluster) WHERE contradiction <> '';
CREATE INDEX effects_newest ON leaderjobs.effects (cluster, created_at DESC);

CREATE TABLE leaderjobs.effect_sends (
    effect uuid NOT NULL REFERENCES leaderjobs.effects,
    n integer NOT NULL CHECK (n > 0),
    -- Names this very stamp, so that whoever made it can say what became of it even where its acknowledgement was lost.
    stamp uuid NOT NULL UNIQUE,
    term bigint NOT NULL,
    member text NOT NULL,
    basis text NOT NULL CHECK (basis IN ('first', 'never_acted', 'key', 'absence')),
    sent_at timestamptz NOT NULL,
    -- Evidence: all empty until it comes, and never changed after.
    ended_at timestamptz,
    told text CHECK (told IN (
        'done', 'pending', 'declined', 'mismatch', 'refused', 'not_sent', 'unknown', 'stuck')),
    code text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    status integer,
    replayed boolean NOT NULL DEFAULT false,
    should_retry boolean,
    request_id text NOT NULL DEFAULT '',
    remote_id text NOT NULL DEFAULT '',
    facts jsonb NOT NULL DEFAULT '{}',
    retry_after interval,
    PRIMARY KEY (effect, n),
    CHECK ((told IS NULL) = (ended_at IS NULL))
) WITH (fillfactor = 70);
COMMENT ON TABLE leaderjobs.effect_sends IS
    'Every send of an effect: stamped and committed before its first byte left; what came back is added once';

-- What the ids of effects, and so their idempotency keys, are derived from: a ledger that has lost its newest rows (a
-- failover to a replica that lacked them) asks the provider under the same key as before, and not a second time.
CREATE TABLE leaderjobs.installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO leaderjobs.installation DEFAULT VALUES;
COMMENT ON TABLE leaderjobs.installation IS 'One row: the random id that tells this database''s effects from another''s';

ALTER TABLE leaderjobs.jobs ADD COLUMN effect uuid REFERENCES leaderjobs.effects;
CREATE UNIQUE INDEX jobs_effect ON leaderjobs.jobs (effect) WHERE effect IS NOT NULL;
-- An uncertain job is due again and again, to look.
DROP INDEX leaderjobs.jobs_claimable;
CREATE INDEX jobs_claimable ON leaderjobs.jobs (cluster, priority, scheduled_at, id)
    WHERE state IN ('scheduled', 'available', 'retryable', 'uncertain');

-- Stamps a send: under the fence, committed before the first byte leaves. `in_version` is what the caller has
-- decided on; anything that happened since (a stamp, evidence, a person) refuses it. The window is looked at once
-- more, on the clock that wrote the first stamp, because the caller may have slept since it decided.
CREATE FUNCTION leaderjobs.stamp(
    in_cluster text, in_effect uuid, in_version bigint, in_stamp uuid, in_term bigint, in_member text, in_basis text,
    in_window interval
) RETURNS TABLE (n integer, sent_at timestamptz, version bigint)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    e leaderjobs.effects;
    window_began timestamptz;
    stamped_at timestamptz;
BEGIN
    SELECT * INTO e FROM leaderjobs.effects x WHERE x.id = in_effect AND x.cluster = in_cluster FOR UPDATE;
    IF NOT FOUND OR e.version <> in_version
       OR NOT (e.state IN ('planned', 'sending') OR e.state = 'uncertain' AND in_basis IN ('never_acted', 'absence'))
    THEN
        RAISE EXCEPTION 'effect % has moved on', in_effect USING ERRCODE = 'LJ003';
    END IF;
    IF in_basis = 'key' THEN
        SELECT min(s.sent_at) INTO window_began
        FROM leaderjobs.effect_sends s
        WHERE s.effect = in_effect AND coalesce(s.told, 'unknown') NOT IN ('refused', 'not_sent');
        IF in_window IS NULL OR window_began IS NULL OR clock_timestamp() >= window_began + in_window THEN
            RAISE EXCEPTION 'the window for the same key of effect % is over', in_effect USING ERRCODE = 'LJ003';
        END IF;
    END IF;
    stamped_at := clock_timestamp();
    RETURN QUERY
    INSERT INTO leaderjobs.effect_sends AS s (effect, n, stamp, term, member, basis, sent_at)
    VALUES (in_effect, e.send_count + 1, in_stamp, in_term, in_member, in_basis, stamped_at)
    RETURNING s.n, s.sent_at, in_version + 1;
    UPDATE leaderjobs.effects x
    SET state = 'sending', send_count = x.send_count + 1, version = x.version + 1, settled_at = NULL,
        first_sent_at = coalesce(x.first_sent_at, stamped_at)
    WHERE x.id = in_effect;
END
$$;

-- Evidence: what became of a stamped send. True whoever brings it, so no term is asked; first come, never changed.
-- Where the effect waits, whoever leads looks at it again at once. Where it has ended otherwise, that is said.
CREATE FUNCTION leaderjobs.record(
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
        PERFORM pg_notify('leaderjobs', in_cluster);
    END IF;
    RETURN true;
END
$$;
