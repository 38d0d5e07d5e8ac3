-- breaking: no
-- The queue, the fence, the markers, and what a page needs to land.

-- Terms ---------------------------------------------------------------------------------------------------

CREATE TABLE leaderjobs.terms (
    cluster text NOT NULL,
    partition integer NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    token bigint NOT NULL CHECK (token >= 0),
    origin text NOT NULL,
    member text NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cluster, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE leaderjobs.terms IS 'The fence: the one term per partition whose writes may commit';

-- What a transaction of a term calls itself in pg_stat_activity. A hash, because names are cut at 63 bytes.
CREATE FUNCTION leaderjobs.term_name(in_cluster text, in_partition integer, in_number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'leaderjobs-term:' || left(md5(in_cluster), 16) || ':' || in_partition || ':' || in_number;

-- First statement of every transaction of a term. The name is set BEFORE the term is looked up: so a
-- transaction either sees the newer term here, or is seen by the eviction that follows the raise.
CREATE FUNCTION leaderjobs.enter(
    in_cluster text, in_partition integer, in_number bigint, idle_ms integer, lock_ms integer, statement_ms integer
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM set_config('application_name', leaderjobs.term_name(in_cluster, in_partition, in_number), true),
            set_config('idle_in_transaction_session_timeout', idle_ms::text, true),
            set_config('lock_timeout', lock_ms::text, true),
            set_config('statement_timeout', statement_ms::text, true);
    PERFORM FROM leaderjobs.terms t
    WHERE t.cluster = in_cluster AND t.partition = in_partition AND t.number = in_number;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'term % of partition % is not the one that leads', in_number, in_partition
            USING ERRCODE = 'LJ001';
    END IF;
END
$$;

-- Last statement of every transaction of a term. FOR SHARE, not FOR KEY SHARE: only the former makes the raise
-- (an UPDATE of no key column) wait until this transaction has ended.
CREATE FUNCTION leaderjobs.fence(in_cluster text, in_partition integer, in_number bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM FROM leaderjobs.terms t
    WHERE t.cluster = in_cluster AND t.partition = in_partition AND t.number = in_number
    FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'term % of partition % is not the one that leads', in_number, in_partition
            USING ERRCODE = 'LJ001';
    END IF;
END
$$;

-- Ends the backends that are inside a transaction of a term up to `newest`, and so frees their locks: a client
-- that stalls within a pipeline leaves its backend "active", where idle_in_transaction_session_timeout never fires.
CREATE FUNCTION leaderjobs.evict(in_cluster text, in_partition integer, newest bigint) RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    prefix text := 'leaderjobs-term:' || left(md5(in_cluster), 16) || ':' || in_partition || ':';
    found_pid integer;
    evicted integer := 0;
BEGIN
    FOR found_pid IN
        SELECT a.pid
        FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
          AND CASE
                WHEN a.application_name ~ ('^' || prefix || '[0-9]{1,18}$')
                THEN substr(a.application_name, length(prefix) + 1)::bigint <= newest
                ELSE false
              END
    LOOP
        BEGIN
            IF pg_terminate_backend(found_pid) THEN
                evicted := evicted + 1;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            -- Another role's: its own timeouts must free the locks.
            NULL;
        END;
    END LOOP;
    RETURN evicted;
END
$$;

-- Jobs ----------------------------------------------------------------------------------------------------

CREATE TABLE leaderjobs.jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster text NOT NULL,
    target text NOT NULL,
    connection text NOT NULL,
    streams text[] NOT NULL,
    state text NOT NULL CHECK (state IN (
        'scheduled', 'available', 'running', 'retryable', 'completed', 'discarded', 'cancelled', 'uncertain')),
    key text,
    priority smallint NOT NULL CHECK (priority BETWEEN 0 AND 9),
    attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    rescues integer NOT NULL DEFAULT 0,
    scheduled_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    term bigint,
    member text,
    error text,
    progress_stream text NOT NULL DEFAULT '',
    progress_pages bigint NOT NULL DEFAULT 0,
    progress_rows bigint NOT NULL DEFAULT 0,
    CHECK (state <> 'running' OR (term IS NOT NULL AND member IS NOT NULL AND attempt > 0))
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE leaderjobs.jobs IS 'The queue: one row per job, kept after its end';

CREATE INDEX jobs_claimable ON leaderjobs.jobs (cluster, priority, scheduled_at, id)
    WHERE state IN ('scheduled', 'available', 'retryable');
CREATE INDEX jobs_running ON leaderjobs.jobs (cluster, term) WHERE state = 'running';
CREATE INDEX jobs_discarded ON leaderjobs.jobs (cluster, finished_at) WHERE state = 'discarded';
-- A key is free again only when nothing moves its job on any more: a waiting retry still holds it.
CREATE UNIQUE INDEX jobs_key ON leaderjobs.jobs (cluster, key)
    WHERE key IS NOT NULL AND state NOT IN ('completed', 'discarded', 'cancelled');

CREATE TABLE leaderjobs.holds (
    cluster text NOT NULL,
    connection text NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL,
    PRIMARY KEY (cluster, connection)
);
COMMENT ON TABLE leaderjobs.holds IS 'Connections that wait for a person; no job of theirs starts before `until`';

-- Markers and staged pages --------------------------------------------------------------------------------

CREATE TABLE leaderjobs.markers (
    cluster text NOT NULL,
    connection text NOT NULL,
    stream text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    rows bigint NOT NULL CHECK (rows >= 0),
    -- json, not jsonb: a cursor is the provider's, and must come back exactly as it was given.
    cursor json NOT NULL,
    committed_at timestamptz NOT NULL,
    term bigint NOT NULL,
    PRIMARY KEY (cluster, connection, stream)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);
COMMENT ON TABLE leaderjobs.markers IS 'How far each stream has come; sequence counts its committed batches';

CREATE TABLE leaderjobs.stages (
    cluster text NOT NULL,
    connection text NOT NULL,
    stream text NOT NULL,
    page bigint NOT NULL,
    body jsonb NOT NULL,
    upserts text[] NOT NULL,
    deletes text,
    PRIMARY KEY (cluster, connection, stream, page)
) WITH (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE leaderjobs.stages IS 'Pages of updates that are not complete yet; page is the marker sequence of its commit';
-- A page lives for minutes: compressing it costs more than it saves.
ALTER TABLE leaderjobs.stages ALTER COLUMN body SET STORAGE EXTERNAL;

-- Moves a marker on by exactly one batch. `expected` is the sequence that the caller read (0: there was none).
CREATE FUNCTION leaderjobs.advance(
    in_cluster text, in_connection text, in_stream text, expected bigint, more_rows bigint, new_cursor json,
    in_term bigint
) RETURNS TABLE (sequence bigint, rows bigint, committed_at timestamptz)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
BEGIN
    IF expected = 0 THEN
        RETURN QUERY
        INSERT INTO leaderjobs.markers AS m (cluster, connection, stream, sequence, rows, cursor, committed_at, term)
        VALUES (in_cluster, in_connection, in_stream, 1, more_rows, new_cursor, clock_timestamp(), in_term)
        ON CONFLICT (cluster, connection, stream) DO NOTHING
        RETURNING m.sequence, m.rows, m.committed_at;
    ELSE
        RETURN QUERY
        UPDATE leaderjobs.markers m
        SET sequence = m.sequence + 1, rows = m.rows + more_rows, cursor = new_cursor,
            committed_at = clock_timestamp(), term = in_term
        WHERE m.cluster = in_cluster AND m.connection = in_connection AND m.stream = in_stream
          AND m.sequence = expected
        RETURNING m.sequence, m.rows, m.committed_at;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the marker of %/% is not at sequence % any more', in_connection, in_stream, expected
            USING ERRCODE = 'LJ003';
    END IF;
END
$$;

-- Counts a committed page on the job; the page must not land when the job is no longer run by this attempt.
CREATE FUNCTION leaderjobs.progress(
    in_cluster text, in_id bigint, in_term bigint, in_attempt integer, in_stream text, more_rows bigint
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE leaderjobs.jobs
    SET progress_stream = in_stream, progress_pages = progress_pages + 1,
        progress_rows = progress_rows + more_rows, rescues = 0
    WHERE id = in_id AND cluster = in_cluster AND state = 'running' AND term = in_term AND attempt = in_attempt;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job % is no longer run by attempt % of term %', in_id, in_attempt, in_term
            USING ERRCODE = 'LJ004';
    END IF;
END
$$;

-- Landing -------------------------------------------------------------------------------------------------

-- Lets an expression fail a page, so that nothing of it is dropped in silence. Volatile, and so is row_id: with
-- constant arguments the planner would otherwise call it ahead of time, for no row at all.
CREATE FUNCTION leaderjobs.refuse(message text) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    RAISE EXCEPTION '%', message USING ERRCODE = 'LJ002';
END
$$;

CREATE FUNCTION leaderjobs.rows_of(body jsonb, member text, label text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    found jsonb := body -> member;
BEGIN
    IF jsonb_typeof(found) IS DISTINCT FROM 'array' THEN
        PERFORM leaderjobs.refuse('a page of ' || label || ' has no array "' || member || '"');
    END IF;
    RETURN found;
END
$$;

CREATE FUNCTION leaderjobs.row_id(doc jsonb, key text, label text) RETURNS text
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN jsonb_typeof(doc -> key) IN ('string', 'number') THEN doc ->> key
    ELSE leaderjobs.refuse('a row of ' || label || ' has no text or number as its key "' || key || '"')
END;

-- Writes one page: its rows, then its deletions over them. One statement over the raw array is 2 to 5 times as
-- fast as executemany or a temporary table. The ids are sorted, so two landings lock rows in the same order.
-- The body stands in it once, behind OFFSET 0: the planner copies a parameter wherever it moves it, and a page
-- is 700 kB (3 ms of 18 ms a page).
CREATE FUNCTION leaderjobs.land(
    in_schema text, in_table text, in_key text, in_cluster text, in_connection text, in_ord bigint,
    body jsonb, upserts text[], deletes text
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    label text := in_schema || '.' || in_table;
    gone text[];
BEGIN
    EXECUTE format($sql$
        INSERT INTO %I.%I AS t (cluster, connection, id, doc, ord, deleted_at, synced_at)
        SELECT DISTINCT ON (r.id) $1, $2, r.id, r.doc, $3, NULL, now()
        FROM (
            SELECT leaderjobs.row_id(e.doc, $4, $5) COLLATE "C" AS id, e.doc, p.nr AS member, e.nr AS place
            FROM (
                SELECT m.nr, leaderjobs.rows_of($6, m.name, $5) AS docs
                FROM unnest($7) WITH ORDINALITY AS m (name, nr)
                OFFSET 0
            ) p, jsonb_array_elements(p.docs) WITH ORDINALITY AS e (doc, nr)
        ) r
        ORDER BY r.id, r.member DESC, r.place DESC
        ON CONFLICT (cluster, connection, id) DO UPDATE
        SET doc = excluded.doc, ord = excluded.ord, deleted_at = NULL, synced_at = excluded.synced_at
        WHERE t.ord <= excluded.ord AND (t.doc IS DISTINCT FROM excluded.doc OR t.deleted_at IS NOT NULL)
    $sql$, in_schema, in_table)
    USING in_cluster, in_connection, in_ord, in_key, label, body, upserts;
    IF deletes IS NOT NULL THEN
        -- Read before the table is: a deletion without its key must fail also where no row could match it.
        gone := ARRAY(
            SELECT leaderjobs.row_id(e.doc, in_key, label)
            FROM jsonb_array_elements(leaderjobs.rows_of(body, deletes, label)) AS e (doc)
        );
    END IF;
    IF cardinality(gone) > 0 THEN
        EXECUTE format($sql$
            UPDATE %I.%I t
            SET deleted_at = now(), synced_at = now(), ord = $3
            WHERE t.cluster = $1 AND t.connection = $2 AND t.id = ANY ($4)
              AND t.ord <= $3 AND t.deleted_at IS NULL
        $sql$, in_schema, in_table)
        USING in_cluster, in_connection, in_ord, gone;
    END IF;
END
$$;

-- Tombstones what a page that is the whole stream does not hold.
CREATE FUNCTION leaderjobs.retire(
    in_schema text, in_table text, in_key text, in_cluster text, in_connection text, in_ord bigint,
    body jsonb, upserts text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    EXECUTE format($sql$
        UPDATE %I.%I t
        SET deleted_at = now(), synced_at = now(), ord = $3
        WHERE t.cluster = $1 AND t.connection = $2 AND t.ord <= $3 AND t.deleted_at IS NULL
          AND t.id NOT IN (
            SELECT leaderjobs.row_id(e.doc, $4, $5) COLLATE "C"
            FROM unnest($7) AS m (name), jsonb_array_elements(leaderjobs.rows_of($6, m.name, $5)) AS e (doc)
          )
    $sql$, in_schema, in_table)
    USING in_cluster, in_connection, in_ord, in_key, in_schema || '.' || in_table, body, upserts;
END
$$;

-- Lands the staged pages of a stream in the order they came, and drops them.
CREATE FUNCTION leaderjobs.apply_stages(
    in_schema text, in_table text, in_key text, in_cluster text, in_connection text
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    staged record;
BEGIN
    FOR staged IN
        SELECT s.page, s.body, s.upserts, s.deletes
        FROM leaderjobs.stages s
        WHERE s.cluster = in_cluster AND s.connection = in_connection AND s.stream = in_table
        ORDER BY s.page
    LOOP
        PERFORM leaderjobs.land(in_schema, in_table, in_key, in_cluster, in_connection, staged.page,
                                staged.body, staged.upserts, staged.deletes);
    END LOOP;
    DELETE FROM leaderjobs.stages s
    WHERE s.cluster = in_cluster AND s.connection = in_connection AND s.stream = in_table;
END
$$;

-- Generated columns ---------------------------------------------------------------------------------------
-- Each reads a JSON value tolerantly: a misfit becomes NULL and never fails a page. A pattern decides before the
-- cast: an exception handler costs a subtransaction a row. The SQL functions are inlined into the column.

CREATE FUNCTION leaderjobs.json_text(doc jsonb, VARIADIC path text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN doc #>> path;

-- For columns with an index: a b-tree entry must stay below a third of a page.
CREATE FUNCTION leaderjobs.json_short_text(doc jsonb, VARIADIC path text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN octet_length(doc #>> path) <= 1000 THEN doc #>> path END;

CREATE FUNCTION leaderjobs.json_numeric(doc jsonb, VARIADIC path text[]) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN length(doc #>> path) > 1000 THEN NULL
    WHEN jsonb_typeof(doc #> path) = 'number' THEN (doc #> path)::numeric
    WHEN jsonb_typeof(doc #> path) = 'string' AND (doc #>> path) ~ '^[+-]?[0-9]+([.][0-9]+)?$'
    THEN (doc #>> path)::numeric
END;

CREATE FUNCTION leaderjobs.json_boolean(doc jsonb, VARIADIC path text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE doc #>> path WHEN 'true' THEN true WHEN 'false' THEN false END;

-- The patterns let only days through that exist. The cast of this one form is the same in every session, which
-- makes the function as immutable as it says.
CREATE FUNCTION leaderjobs.text_date(value text) RETURNS date
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    IF value ~ '^[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))$'
       OR value ~ '^[1-9][0-9](?:[02468][48]|[13579][26]|[2468]0)-02-29$'
       OR value ~ '^(?:[2468][048]|[13579][26])00-02-29$'
    THEN
        RETURN value::date;
    END IF;
    RETURN NULL;
END
$$;

-- RFC 3339 with its zone; without one the instant would be a guess.
CREATE FUNCTION leaderjobs.text_timestamptz(value text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    IF value ~ '^.{10}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,9})?(?:[Zz]|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])$'
       AND leaderjobs.text_date(left(value, 10)) IS NOT NULL
    THEN
        RETURN value::timestamptz;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION leaderjobs.json_date(doc jsonb, VARIADIC path text[]) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN leaderjobs.text_date(doc #>> path);

-- A text as above, or a number of seconds since 1970.
CREATE FUNCTION leaderjobs.json_timestamptz(doc jsonb, VARIADIC path text[]) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(doc #> path)
    WHEN 'string' THEN leaderjobs.text_timestamptz(doc #>> path)
    WHEN 'number' THEN CASE
        WHEN (doc #> path)::numeric >= 0 AND (doc #> path)::numeric < 253402300800
        THEN to_timestamp((doc #> path)::numeric::double precision)
    END
END;
