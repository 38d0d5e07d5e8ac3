-- breaking: yes
-- Walks, scopes and order keys of pulls; keys of several members; re-pulls and windows; quotas. Breaking, because a
-- program that does not know resets would go on behind one, and would take a windowed job for a whole one.

-- Jobs ----------------------------------------------------------------------------------------------------

ALTER TABLE leaderjobs.jobs
    ADD COLUMN full_pull boolean NOT NULL DEFAULT false,
    ADD COLUMN since timestamptz,
    ADD COLUMN until timestamptz,
    -- Streams whose full pull this job has begun: from there on any attempt goes on from the marker.
    ADD COLUMN begun text[] NOT NULL DEFAULT '{}',
    ADD COLUMN started_rows bigint NOT NULL DEFAULT 0,
    ADD COLUMN progress_stream_rows bigint NOT NULL DEFAULT 0,
    ADD COLUMN progress_total bigint,
    ADD CONSTRAINT jobs_window CHECK (since < until),
    ADD CONSTRAINT jobs_full_or_window CHECK (NOT full_pull OR since IS NULL AND until IS NULL);

DROP FUNCTION leaderjobs.progress(text, bigint, bigint, integer, text, bigint);

-- Counts a committed page on the job; the page must not land when the job is no longer run by this attempt.
CREATE FUNCTION leaderjobs.progress(
    in_cluster text, in_id bigint, in_term bigint, in_attempt integer, in_stream text, more_rows bigint,
    in_total bigint
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    UPDATE leaderjobs.jobs
    SET progress_stream = in_stream, progress_pages = progress_pages + 1,
        progress_rows = progress_rows + more_rows, rescues = 0,
        progress_stream_rows = more_rows
            + CASE WHEN progress_stream = in_stream THEN progress_stream_rows ELSE 0 END,
        progress_total = coalesce(in_total, CASE WHEN progress_stream = in_stream THEN progress_total END)
    WHERE id = in_id AND cluster = in_cluster AND state = 'running' AND term = in_term AND attempt = in_attempt;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job % is no longer run by attempt % of term %', in_id, in_attempt, in_term
            USING ERRCODE = 'LJ004';
    END IF;
END
$$;

-- Holds and quotas ----------------------------------------------------------------------------------------

ALTER TABLE leaderjobs.holds ADD COLUMN person boolean NOT NULL DEFAULT true;
COMMENT ON TABLE leaderjobs.holds IS
    'Connections that wait for a person, or for a quota to be renewed; no job of theirs starts before `until`';

CREATE TABLE leaderjobs.quotas (
    cluster text NOT NULL,
    name text NOT NULL,
    allowed bigint NOT NULL,
    used bigint NOT NULL CHECK (used >= 0),
    resets_at timestamptz NOT NULL,
    PRIMARY KEY (cluster, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);
COMMENT ON TABLE leaderjobs.quotas IS 'What is used of the allowances that providers renew; shared by all who have the name in common';

-- Markers -------------------------------------------------------------------------------------------------

ALTER TABLE leaderjobs.markers ADD COLUMN resets bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN leaderjobs.markers.resets IS
    'How often the cursor was forgotten: whoever goes on from before that is refused, and the sequence never falls';

DROP FUNCTION leaderjobs.advance(text, text, text, bigint, bigint, json, bigint);

-- Moves a marker on by exactly one batch. `expected` is the sequence that the caller read (0: there was none), and
-- `in_resets` how often it had been reset then.
CREATE FUNCTION leaderjobs.advance(
    in_cluster text, in_connection text, in_stream text, expected bigint, in_resets bigint, more_rows bigint,
    new_cursor json, in_term bigint
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
          AND m.sequence = expected AND m.resets = in_resets
        RETURNING m.sequence, m.rows, m.committed_at;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the marker of %/% is not at sequence % any more', in_connection, in_stream, expected
            USING ERRCODE = 'LJ003';
    END IF;
END
$$;

-- Walks and stages ----------------------------------------------------------------------------------------

CREATE TABLE leaderjobs.met (
    cluster text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    pile text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    PRIMARY KEY (cluster, connection, pile, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE leaderjobs.met IS 'Ids that walks under way have met; what a walk has not met when it ends is gone';

-- A pile is a stream, or a stream's window: the two must not mix.
ALTER TABLE leaderjobs.stages RENAME COLUMN stream TO pile;
ALTER TABLE leaderjobs.stages
    ADD COLUMN ord bigint,
    ADD COLUMN ordered boolean NOT NULL DEFAULT false;

-- Half the WAL of a staged update, where this Postgres has lz4; without it a page stays as it is.
DO $$
BEGIN
    IF 'lz4' = ANY (SELECT unnest(enumvals) FROM pg_settings WHERE name = 'default_toast_compression') THEN
        ALTER TABLE leaderjobs.stages ALTER COLUMN body SET STORAGE EXTENDED, ALTER COLUMN body SET COMPRESSION lz4;
    END IF;
END
$$;

CREATE FUNCTION leaderjobs.drop_pile(in_cluster text, in_connection text, in_pile text) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    DELETE FROM leaderjobs.stages WHERE cluster = in_cluster AND connection = in_connection AND pile = in_pile;
    DELETE FROM leaderjobs.met WHERE cluster = in_cluster AND connection = in_connection AND pile = in_pile;
END;

-- Landing -------------------------------------------------------------------------------------------------

DROP FUNCTION leaderjobs.apply_stages(text, text, text, text, text);
DROP FUNCTION leaderjobs.retire(text, text, text, text, text, bigint, jsonb, text[]);
DROP FUNCTION leaderjobs.land(text, text, text, text, text, bigint, jsonb, text[], text);

-- The id of a row whose key has several members: a JSON array of texts, as `Stream.id_of` writes it.
CREATE FUNCTION leaderjobs.row_ids(doc jsonb, keys text[], label text) RETURNS text
LANGUAGE sql VOLATILE
RETURN (
    SELECT jsonb_agg(leaderjobs.row_id(doc, k.name, label) ORDER BY k.nr)::text
    FROM unnest(keys) WITH ORDINALITY AS k (name, nr)
);

-- The expression, over `e.doc`, $4 (the keys) and $5 (the label), that gives a row's id.
CREATE FUNCTION leaderjobs.id_expression(keys text[]) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE cardinality(keys)
    WHEN 1 THEN 'leaderjobs.row_id(e.doc, $4[1], $5)'
    ELSE 'leaderjobs.row_ids(e.doc, $4, $5)'
END;

-- The order key of the row at a place of a page that brings one for each.
CREATE FUNCTION leaderjobs.order_at(orders jsonb, place bigint, label text) RETURNS bigint
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN jsonb_typeof(orders -> (place - 1)::integer) = 'number' THEN (orders -> (place - 1)::integer)::bigint
    ELSE leaderjobs.refuse('a row of ' || label || ' has no order key')::bigint
END;

-- The rows of a page, as `p (member, orders)` and `e (doc, place)`, out of $6 (the body), $7 (its members of rows) and
-- $8 (whether they have order keys); or out of $9, where the page was taken apart before it came: a row that is
-- parsed by itself uses the memory of the one before, while a page parsed as a whole takes a quarter more time.
-- The body stands in it once, behind OFFSET 0: the planner copies a parameter wherever it moves it, and a page
-- is 700 kB (3 ms of 18 ms a page).
CREATE FUNCTION leaderjobs.rows_expression(apart boolean) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN apart THEN '(VALUES (1, NULL::jsonb)) AS p (member, orders), (
        SELECT d.doc::jsonb AS doc, d.place
        FROM unnest($9) WITH ORDINALITY AS d (doc, place)
        OFFSET 0
    ) e'
    ELSE '(
        SELECT m.nr AS member, leaderjobs.rows_of($6, m.name, $5) AS docs,
               CASE WHEN $8 THEN leaderjobs.rows_of($6, m.name || ''_orders'', $5) END AS orders
        FROM unnest($7) WITH ORDINALITY AS m (name, nr)
        OFFSET 0
    ) p, jsonb_array_elements(p.docs) WITH ORDINALITY AS e (doc, place)'
END;

-- Writes one page: its rows, then its deletions over them. One statement over an array is 2 to 5 times as
-- fast as executemany or a temporary table. The ids are sorted, so two landings lock rows in the same order.
-- A row that is there already, byte for byte, is left out before INSERT, which would compute its columns, search the
-- index and lock it (a third of the time of a re-load, and all of its WAL): safe, because whoever lands pages of this
-- stream holds its marker's row. A scalar subquery, which the planner cannot turn into a join over the whole table; after
-- DISTINCT ON, or an older twin in the page would win; record_image_eq, because jsonb's = walks both documents.
-- With order keys of the provider's own (`in_timed`) a row that is the same in a newer version takes that version's
-- key, or one in between that comes late would take its place.
-- A page that was taken apart comes as the texts of its `docs` and of what is `gone`, in place of a body.
CREATE FUNCTION leaderjobs.land(
    in_schema text, in_table text, in_keys text[], in_cluster text, in_connection text, in_ord bigint,
    in_timed boolean, in_ordered boolean, body jsonb, upserts text[], deletes text, docs text[], gone text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    EXECUTE format($sql$
        INSERT INTO %I.%I AS t (cluster, connection, id, doc, ord, deleted_at, synced_at)
        SELECT $1, $2, n.id, n.doc, n.ord, NULL, now()
        FROM (
            SELECT DISTINCT ON (r.id) r.id, r.doc, r.ord
            FROM (SELECT %s COLLATE "C" AS id, e.doc, %s AS ord, p.member, e.place FROM %s) r
            ORDER BY r.id, %s r.member DESC, r.place DESC
        ) n
        WHERE (
            SELECT t.deleted_at IS NULL %s AND record_image_eq(ROW (t.doc), ROW (n.doc))
            FROM %I.%I t WHERE t.cluster = $1 AND t.connection = $2 AND t.id = n.id
        ) IS NOT TRUE
        ON CONFLICT (cluster, connection, id) DO UPDATE
        SET doc = excluded.doc, ord = excluded.ord, deleted_at = NULL, synced_at = %s
        WHERE t.ord <= excluded.ord AND (%s t.doc IS DISTINCT FROM excluded.doc OR t.deleted_at IS NOT NULL)
    $sql$, in_schema, in_table, leaderjobs.id_expression(in_keys),
        CASE WHEN in_ordered THEN 'leaderjobs.order_at(p.orders, e.place, $5)' ELSE '$3' END,
        leaderjobs.rows_expression(docs IS NOT NULL),
        CASE WHEN in_ordered THEN 'r.ord DESC,' ELSE '' END,
        CASE WHEN in_timed THEN 'AND t.ord >= n.ord' ELSE '' END,
        in_schema, in_table,
        CASE
            WHEN in_timed THEN 'CASE WHEN t.doc IS DISTINCT FROM excluded.doc OR t.deleted_at IS NOT NULL'
                || ' THEN excluded.synced_at ELSE t.synced_at END'
            ELSE 'excluded.synced_at'
        END,
        CASE WHEN in_timed THEN 't.ord < excluded.ord OR' ELSE '' END)
    USING in_cluster, in_connection, in_ord, in_keys, in_schema || '.' || in_table, body, upserts, in_ordered, docs;
    IF deletes IS NOT NULL OR cardinality(gone) > 0 THEN
        PERFORM leaderjobs.land_deletions(in_schema, in_table, in_keys, in_cluster, in_connection, in_ord,
                                          in_ordered, body, deletes, gone);
    END IF;
END
$$;

CREATE FUNCTION leaderjobs.land_deletions(
    in_schema text, in_table text, in_keys text[], in_cluster text, in_connection text, in_ord bigint,
    in_ordered boolean, body jsonb, deletes text, texts text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    label text := in_schema || '.' || in_table;
    docs jsonb := CASE
        WHEN texts IS NULL THEN leaderjobs.rows_of(body, deletes, label)
        ELSE (SELECT jsonb_agg(d.doc::jsonb ORDER BY d.nr) FROM unnest(texts) WITH ORDINALITY AS d (doc, nr))
    END;
    orders jsonb := CASE WHEN in_ordered THEN leaderjobs.rows_of(body, deletes || '_orders', label) END;
    gone text[];
    ords bigint[];
BEGIN
    -- Read before the table is: a deletion without its key must fail also where no row could match it.
    SELECT array_agg(CASE cardinality(in_keys)
                         WHEN 1 THEN leaderjobs.row_id(e.doc, in_keys[1], label)
                         ELSE leaderjobs.row_ids(e.doc, in_keys, label)
                     END),
           array_agg(CASE WHEN in_ordered THEN leaderjobs.order_at(orders, e.nr, label) ELSE in_ord END)
    INTO gone, ords
    FROM jsonb_array_elements(docs) WITH ORDINALITY AS e (doc, nr);
    IF cardinality(gone) > 0 THEN
        EXECUTE format($sql$
            UPDATE %I.%I t
            SET deleted_at = now(), synced_at = now(), ord = g.ord
            FROM (
                SELECT u.id COLLATE "C" AS id, max(u.ord) AS ord
                FROM unnest($3, $4) AS u (id, ord) GROUP BY 1
            ) g
            WHERE t.cluster = $1 AND t.connection = $2 AND t.id = g.id
              AND t.ord <= g.ord AND t.deleted_at IS NULL
        $sql$, in_schema, in_table)
        USING in_cluster, in_connection, gone, ords;
    END IF;
END
$$;

-- What narrows a statement over `t` to a scope; the column is one of the stream's, so its type reads the value.
-- PL/pgSQL, because the column's expression is made by a later migration.
CREATE FUNCTION leaderjobs.scope_condition(in_schema text, in_table text, scope_column text, scope_value text)
RETURNS text
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF scope_column IS NULL THEN
        RETURN '';
    END IF;
    RETURN format('AND %s = %L', leaderjobs.column_expression(in_schema, in_table, scope_column), scope_value);
END
$$;

-- Tombstones what a page that is the whole stream, or the whole scope, does not hold.
CREATE FUNCTION leaderjobs.retire(
    in_schema text, in_table text, in_keys text[], in_cluster text, in_connection text, in_ord bigint,
    body jsonb, upserts text[], scope_column text, scope_value text
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    EXECUTE format($sql$
        UPDATE %I.%I t
        SET deleted_at = now(), synced_at = now(), ord = $3
        WHERE t.cluster = $1 AND t.connection = $2 AND t.ord <= $3 AND t.deleted_at IS NULL %s
          AND t.id NOT IN (
            SELECT %s COLLATE "C"
            FROM unnest($7) AS m (name), jsonb_array_elements(leaderjobs.rows_of($6, m.name, $5)) AS e (doc)
          )
    $sql$, in_schema, in_table, leaderjobs.scope_condition(in_schema, in_table, scope_column, scope_value),
        leaderjobs.id_expression(in_keys))
    USING in_cluster, in_connection, in_ord, in_keys, in_schema || '.' || in_table, body, upserts;
END
$$;

-- Remembers what a page of a walk has met.
CREATE FUNCTION leaderjobs.meet(
    in_keys text[], in_cluster text, in_connection text, in_pile text, label text, body jsonb, upserts text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    EXECUTE format($sql$
        INSERT INTO leaderjobs.met (cluster, connection, pile, id)
        SELECT DISTINCT $1, $2, $3, %s COLLATE "C"
        FROM unnest($7) AS m (name), jsonb_array_elements(leaderjobs.rows_of($6, m.name, $5)) AS e (doc)
        ON CONFLICT DO NOTHING
    $sql$, leaderjobs.id_expression(in_keys))
    USING in_cluster, in_connection, in_pile, in_keys, label, body, upserts;
END
$$;

-- Tombstones what was not met, in the scope where there is one, and forgets what was. Rows that are newer than
-- `in_ord` stay: they came after the walk had passed their place.
CREATE FUNCTION leaderjobs.sweep(
    in_schema text, in_table text, in_cluster text, in_connection text, in_pile text, in_ord bigint,
    scope_column text, scope_value text
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    EXECUTE format($sql$
        UPDATE %I.%I t
        SET deleted_at = now(), synced_at = now(), ord = $4
        WHERE t.cluster = $1 AND t.connection = $2 AND t.ord <= $4 AND t.deleted_at IS NULL %s
          AND NOT EXISTS (
            SELECT FROM leaderjobs.met m
            WHERE m.cluster = $1 AND m.connection = $2 AND m.pile = $3 AND m.id = t.id
          )
    $sql$, in_schema, in_table, leaderjobs.scope_condition(in_schema, in_table, scope_column, scope_value))
    USING in_cluster, in_connection, in_pile, in_ord;
    DELETE FROM leaderjobs.met m WHERE m.cluster = in_cluster AND m.connection = in_connection AND m.pile = in_pile;
END
$$;

-- Lands the staged pages of a pile in the order they came, and drops them; `meeting` remembers their ids for a sweep.
CREATE FUNCTION leaderjobs.apply_stages(
    in_schema text, in_table text, in_keys text[], in_cluster text, in_connection text, in_pile text, meeting boolean
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    staged record;
BEGIN
    FOR staged IN
        SELECT s.page, s.body, s.upserts, s.deletes, coalesce(s.ord, s.page) AS ord, s.ordered,
               s.ordered OR s.ord IS NOT NULL AS timed
        FROM leaderjobs.stages s
        WHERE s.cluster = in_cluster AND s.connection = in_connection AND s.pile = in_pile
        ORDER BY s.page
    LOOP
        PERFORM leaderjobs.land(in_schema, in_table, in_keys, in_cluster, in_connection, staged.ord,
                                staged.timed, staged.ordered, staged.body, staged.upserts, staged.deletes, NULL, NULL);
        IF meeting THEN
            PERFORM leaderjobs.meet(in_keys, in_cluster, in_connection, in_pile, in_schema || '.' || in_table,
                                    staged.body, staged.upserts);
        END IF;
    END LOOP;
    DELETE FROM leaderjobs.stages s
    WHERE s.cluster = in_cluster AND s.connection = in_connection AND s.pile = in_pile;
END
$$;
