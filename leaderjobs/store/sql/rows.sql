-- Templates: {braces} are filled with quoted identifiers only.

-- name: documents
-- Text, so that numbers come out as they stand and not through a float.
SELECT id, doc::text AS doc FROM {table}
WHERE cluster = %(cluster)s AND connection = %(connection)s AND deleted_at IS NULL;
