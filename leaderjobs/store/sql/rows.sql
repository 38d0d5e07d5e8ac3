-- Templates: {braces} are filled with quoted identifiers and literals only. No parameters: a name may hold a percent
-- sign.

-- name: documents
-- Text, so that numbers come out as they stand and not through a float.
SELECT id, doc::text AS doc FROM {table}
WHERE cluster = {cluster} AND connection = {connection} AND deleted_at IS NULL;
