-- Templates: {braces} are filled with quoted identifiers and literals only. A statement with %(parameters)s has no
-- names in it: a percent sign in a name would be taken for one.

-- name: begin_change
-- One change at a time, whoever makes it: racing members make the same tables one after the other. Waiting for
-- one's turn holds nobody up; waiting for a table does, and everybody behind, so that is given up soon.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
SELECT set_config('lock_timeout', {turn_ms}::text, true), set_config('statement_timeout', {statement_ms}::text, true);
SELECT pg_advisory_xact_lock(hashtextextended('leaderjobs.tables', 0));
SELECT set_config('lock_timeout', {lock_ms}::text, true);

-- name: begin_step
-- A step of a fill yields to whoever changes tables now.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
SELECT set_config('lock_timeout', {lock_ms}::text, true), set_config('statement_timeout', {statement_ms}::text, true);

-- name: try_turn
SELECT pg_try_advisory_xact_lock(hashtextextended('leaderjobs.tables', 0)) AS got;

-- name: look
-- Everything about tables that a description could find lacking; from the catalogs alone, so no table is locked.
SELECT w.name, c.relkind::text AS kind, v.relkind::text AS view_kind,
       coalesce(pg_has_role(c.relowner, 'USAGE'), true) AS owned,
       coalesce(obj_description(c.oid, 'pg_class'), '') AS comment,
       coalesce(obj_description(v.oid, 'pg_class'), '') AS view_comment,
       coalesce(v.reloptions, '{}') AS view_options,
       ARRAY(
           SELECT a.attname::text FROM pg_attribute a
           WHERE a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
       ) AS view_columns,
       ARRAY(
           SELECT json_build_array(
               a.attname, (SELECT y.typname FROM pg_type y WHERE y.oid = a.atttypid), a.attgenerated <> '',
               coalesce(col_description(a.attrelid, a.attnum), ''), coalesce(k.reader, ''),
               coalesce(k.path, '{}'), coalesce(k.filled, true)
           )
           FROM pg_attribute a
           LEFT JOIN leaderjobs.columns k
               ON k.namespace = %(schema)s AND k.relation = w.name AND k.name = a.attname AND a.attgenerated = ''
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
       ) AS columns,
       EXISTS (
           SELECT FROM leaderjobs.columns k
           WHERE c.oid IS NOT NULL AND k.namespace = %(schema)s AND k.relation = w.name AND NOT EXISTS (
               SELECT FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = k.name AND a.attnum > 0 AND NOT a.attisdropped
           )
       ) AS lost,
       ARRAY(
           SELECT a.attname::text
           FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
       ) AS indexed,
       (
           SELECT coalesce(jsonb_object_agg(a.attname, x.relname), '{}')
           FROM pg_index i
           JOIN pg_class x ON x.oid = i.indexrelid
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE i.indrelid = c.oid AND NOT i.indisvalid AND i.indnatts = 1 AND i.indpred IS NULL
       ) AS invalid
FROM unnest(%(names)s::text[], %(views)s::text[]) AS w (name, view)
LEFT JOIN pg_namespace n ON n.nspname = %(schema)s::name
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name::name
LEFT JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = w.view::name;

-- name: schema_exists
-- Asked first: CREATE SCHEMA IF NOT EXISTS wants the right to create even where there is nothing to create.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)s::name) AS found;

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: create_table
-- Ids are compared byte by byte: a provider's are case sensitive, and no locale should order them. Documents of
-- a few kB stay in the row, uncompressed: squeezing them halves the rate at which pages land.
CREATE TABLE {table} (
    cluster text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    doc jsonb NOT NULL,
    ord bigint NOT NULL,
    deleted_at timestamptz,
    synced_at timestamptz NOT NULL
    {columns},
    PRIMARY KEY (cluster, connection, id)
) WITH (toast_tuple_target = 8160);

-- name: column_generated
-- It can never disagree with the document; but adding one to a table rewrites it.
{column} {type} GENERATED ALWAYS AS ({value}) STORED

-- name: column_plain
-- Added in an instant, whatever the table holds.
{column} {type}

-- name: value
{reader}({doc}, VARIADIC {path}::text[])

-- name: value_of_filled
-- Right in every row: what is there is what the trigger or the fill has read from the same document.
coalesce({column}, {value})

-- name: add_columns
ALTER TABLE {table} {columns};

-- name: add_column
ADD COLUMN {column}

-- name: keep_column
-- Also where it was kept before and has been dropped: its rows have to be filled again.
INSERT INTO leaderjobs.columns (namespace, relation, name, reader, path)
VALUES ({schema}, {name}, {column}, {reader}, {path}::text[])
ON CONFLICT (namespace, relation, name)
DO UPDATE SET reader = excluded.reader, path = excluded.path, filled = false, passed = NULL;

-- name: forget_lost
-- Columns that people have dropped.
DELETE FROM leaderjobs.columns k
WHERE k.namespace = {schema} AND k.relation = {name} AND NOT EXISTS (
    SELECT FROM pg_attribute a
    WHERE a.attrelid = to_regclass(format('%I.%I', k.namespace, k.relation)) AND a.attname = k.name
      AND a.attnum > 0 AND NOT a.attisdropped
);

-- name: keeper
-- Assignments one by one: measured, they cost half of one SELECT for all, and hardly more than generated columns.
CREATE OR REPLACE FUNCTION {keeper}() RETURNS trigger LANGUAGE plpgsql AS {body};

-- name: keeper_body
BEGIN
    {assignments}RETURN NEW;
END

-- name: assignment
NEW.{column} := {value};

-- name: keep
CREATE OR REPLACE TRIGGER leaderjobs_columns BEFORE INSERT OR UPDATE OF doc ON {table}
FOR EACH ROW EXECUTE FUNCTION {keeper}();

-- name: create_index
CREATE INDEX ON {table} USING {method};

-- name: build_index
-- Readers and writers go on meanwhile.
CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} USING {method};

-- name: drop_index
DROP INDEX CONCURRENTLY IF EXISTS {index};

-- name: btree
btree ({column})

-- name: hash
-- For texts of any length, of which a b-tree would refuse the long ones, and with them the page.
hash ({column})

-- name: gin
gin ({column} jsonb_path_ops)

-- name: is_short
-- Whether a generated column leaves out what is too long for a b-tree.
SELECT pg_get_expr(d.adbin, d.adrelid) ~ '^(leaderjobs[.])?json_short_text[(]' AS short
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE d.adrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text)) AND a.attname = %(column)s::name;

-- name: being_built
-- Unfinished because somebody is at it now.
SELECT EXISTS (
    SELECT FROM pg_stat_progress_create_index p
    WHERE p.relid = to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text))
) AS found;

-- name: bound_index
-- Of the session, because an index cannot be built concurrently within a transaction. It waits for transactions
-- that began before it, and holds nobody up meanwhile.
SELECT set_config('lock_timeout', %(lock_ms)s::text, false), set_config('statement_timeout', %(statement_ms)s::text, false);

-- name: unbound_index
-- A pooler may give this backend to somebody else.
RESET lock_timeout;
RESET statement_timeout;

-- name: size
SELECT coalesce(pg_table_size(to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text))), 0) AS bytes;

-- name: create_view
-- What people usually want: live rows, without our bookkeeping.
CREATE OR REPLACE VIEW {view} {options} AS SELECT {columns} FROM {table} t WHERE t.deleted_at IS NULL;

-- name: comment_table
COMMENT ON TABLE {table} IS {comment};

-- name: comment_view
COMMENT ON VIEW {view} IS {comment};

-- name: comment_column
COMMENT ON COLUMN {table}.{column} IS {comment};

-- name: unfilled
-- All of a table are filled together, from where the one stands that is behind: one that is new begins the walk anew.
SELECT name, passed FROM leaderjobs.columns
WHERE namespace = %(schema)s AND relation = %(name)s AND NOT filled ORDER BY passed NULLS FIRST;

-- name: fill
-- Reads the next rows in the order of their key, which never changes, and sets what is wrong. It waits for no row
-- and so can be part of no deadlock: one that a page holds now is skipped, and the same rows are asked for again.
-- What was right in the snapshot stays right, because of the trigger: a walk that has passed all is the proof.
WITH span AS MATERIALIZED (
    SELECT t.ctid AS place, t.cluster, t.connection, t.id, ({wrong}) AS wrong
    FROM {table} t
    WHERE {after}
    ORDER BY t.cluster, t.connection, t.id
    LIMIT {rows}
), held AS MATERIALIZED (
    SELECT t.ctid AS place
    FROM {table} t JOIN span s ON t.ctid = s.place
    WHERE s.wrong
    FOR NO KEY UPDATE OF t SKIP LOCKED
), filled AS (
    UPDATE {table} t SET {values} FROM held h WHERE t.ctid = h.place
    RETURNING 1
)
SELECT (SELECT count(*) FROM span) AS seen,
       (SELECT count(*) FROM span WHERE wrong) AS wrong,
       (SELECT count(*) FROM filled) AS filled,
       (SELECT ARRAY[s.cluster, s.connection, s.id] FROM span s ORDER BY s.cluster DESC, s.connection DESC, s.id DESC LIMIT 1)
           AS last;

-- name: after_none
true

-- name: after_row
(t.cluster, t.connection, t.id) > ({cluster}, {connection}, {id})

-- name: differs
t.{column} IS DISTINCT FROM {value}

-- name: sets
{column} = {value}

-- name: pass
UPDATE leaderjobs.columns SET passed = %(passed)s
WHERE namespace = %(schema)s AND relation = %(name)s AND NOT filled;

-- name: end_fill
UPDATE leaderjobs.columns SET filled = true WHERE namespace = {schema} AND relation = {name};
