-- breaking: no
-- Columns that are added to destination tables which hold rows: kept by a trigger, filled in the background.

CREATE TABLE leaderjobs.columns (
    namespace text NOT NULL,
    relation text NOT NULL,
    name text NOT NULL,
    reader text NOT NULL,
    path text[] NOT NULL,
    filled boolean NOT NULL DEFAULT false,
    -- Cluster, connection and id of the last row that the fill has passed; empty before its first step.
    passed text[] CHECK (cardinality(passed) = 3),
    PRIMARY KEY (namespace, relation, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE leaderjobs.columns IS
    'Columns of destination tables that a trigger keeps; where not filled yet, older rows may still have none';

-- Whatever stands there. A null is NULL, as in the other columns.
CREATE FUNCTION leaderjobs.json_json(doc jsonb, VARIADIC path text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN nullif(doc #> path, 'null'::jsonb);

-- The expression over `t` that gives a column's value in every row, also while older rows are being filled.
CREATE FUNCTION leaderjobs.column_expression(in_schema text, in_table text, in_column text) RETURNS text
LANGUAGE sql STABLE
RETURN coalesce(
    (
        SELECT format('coalesce(t.%I, leaderjobs.%I(t.doc, VARIADIC %L::text[]))', k.name, k.reader, k.path)
        FROM leaderjobs.columns k
        WHERE k.namespace = in_schema AND k.relation = in_table AND k.name = in_column AND NOT k.filled
    ),
    format('t.%I', in_column)
);
