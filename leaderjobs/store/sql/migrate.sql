-- name: lock
-- One process migrates at a time; the others wait here and then find nothing to do.
SELECT pg_advisory_xact_lock(hashtextextended('leaderjobs.migrate', 0));

-- name: bound
-- A migration may wait for running transactions, but not for ever.
SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '0', true);

-- name: exists
-- Asked first: CREATE ... IF NOT EXISTS wants the right to create even where nothing is to be created.
SELECT to_regclass('leaderjobs.schema_versions') IS NOT NULL AS found;

-- name: prepare_schema
-- Everything of ours lives in one schema, which whoever owns the database may have made beforehand.
CREATE SCHEMA IF NOT EXISTS leaderjobs;

-- name: prepare_versions
-- What was applied, and whether older programs can live with it.
CREATE TABLE IF NOT EXISTS leaderjobs.schema_versions (
    number integer PRIMARY KEY,
    name text NOT NULL,
    breaking boolean NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: versions
-- Also those that a newer program applied.
SELECT number, breaking FROM leaderjobs.schema_versions ORDER BY number;

-- name: record
-- In the migration's own transaction; {braces}, because it is also printed.
INSERT INTO leaderjobs.schema_versions (number, name, breaking) VALUES ({number}, {name}, {breaking});
