-- Templates: {braces} are filled with quoted identifiers and literals only.

-- name: lock
-- Racing members make the same tables one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('leaderjobs.tables', 0));

-- name: bound
-- A new column rewrites the table: that may take long, but waiting for the lock may not.
SELECT set_config('lock_timeout', '30s', true), set_config('statement_timeout', '0', true);

-- name: columns
-- In their order; generated columns are those a stream declares.
SELECT a.attname AS name, a.attgenerated <> '' AS generated
FROM pg_attribute a
WHERE a.attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(name)s::text))
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: schema_exists
-- Asked first: CREATE SCHEMA IF NOT EXISTS wants the right to create even where there is nothing to create.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)s) AS found;

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: create_table
-- Ids are compared byte by byte: a provider's are case sensitive, and no locale should order them. Documents of
-- a few kB stay in the row, uncompressed: squeezing them halves the rate at which pages land.
CREATE TABLE IF NOT EXISTS {table} (
    cluster text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    doc jsonb NOT NULL,
    ord bigint NOT NULL,
    deleted_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (cluster, connection, id)
) WITH (toast_tuple_target = 8160);

-- name: add_column
-- Generated, so it can never disagree with the document.
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {type} GENERATED ALWAYS AS ({reader}({arguments})) STORED;

-- name: create_index
CREATE INDEX IF NOT EXISTS {index} ON {table} ({column});

-- name: create_view
-- What people usually want: live rows, without our bookkeeping.
CREATE OR REPLACE VIEW {view} AS
SELECT connection, id, doc, synced_at {columns} FROM {table} WHERE deleted_at IS NULL;

-- name: comment_table
COMMENT ON TABLE {table} IS {comment};

-- name: comment_view
COMMENT ON VIEW {view} IS {comment};

-- name: comment_column
COMMENT ON COLUMN {table}.{column} IS {comment};
