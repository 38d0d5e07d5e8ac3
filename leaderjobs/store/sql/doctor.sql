-- name: server
-- What the server is, and how many connections it and this role have left.
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::integer AS number,
       pg_is_in_recovery() AS standby, current_user::text AS role, r.rolsuper AS superuser,
       current_setting('max_connections')::integer AS most,
       current_setting('superuser_reserved_connections')::integer
           + coalesce(current_setting('reserved_connections', true)::integer, 0) AS reserved,
       nullif(r.rolconnlimit, -1) AS most_of_role, nullif(d.datconnlimit, -1) AS most_of_database,
       (SELECT count(*) FROM pg_stat_activity a WHERE a.datid IS NOT NULL) AS connected,
       (
           SELECT count(*)
           FROM pg_stat_activity a
           WHERE a.datname = current_database() AND starts_with(a.application_name, 'leaderjobs')
       ) AS ours
FROM pg_roles r, pg_database d
WHERE r.rolname = current_user AND d.datname = current_database();

-- name: settings
-- As a new session of this role in this database has them; durations are milliseconds.
SELECT name, setting, source FROM pg_settings WHERE name = ANY (%(names)s);

-- name: schemas
-- Where tables are, or would be made.
SELECT w.name, n.oid IS NOT NULL AS there,
       coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS may_use,
       coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS may_create,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schemas
FROM unnest(%(names)s::text[]) AS w (name)
LEFT JOIN pg_namespace n ON n.nspname = w.name
ORDER BY w.name;

-- name: lacking
-- Tables that are there and that this role may not work with, or not change when they must grow.
SELECT n.nspname || '.' || c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
       NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
            AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')) AS unusable
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND (n.nspname = 'leaderjobs' OR n.nspname || '.' || c.relname = ANY (%(tables)s))
  AND NOT (pg_has_role(c.relowner, 'USAGE')
           AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
           AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
ORDER BY unusable DESC, name
LIMIT %(most)s;

-- name: strangers
-- Roles of other members, whose transactions this one could not end at a take-over.
SELECT DISTINCT a.usename::text AS role
FROM pg_stat_activity a
WHERE a.datname = current_database() AND starts_with(a.application_name, 'leaderjobs')
  AND a.usename <> current_user AND NOT pg_has_role(a.usename, 'USAGE')
  AND NOT pg_has_role('pg_signal_backend', 'USAGE')
ORDER BY role
LIMIT %(most)s;

-- name: backend
-- The server's process that serves this very transaction.
SELECT pg_backend_pid() AS pid;

-- name: end_backend
-- As a raise ends what stands in its way.
SELECT pg_terminate_backend(%(pid)s) AS ended;

-- name: hear
-- A channel of its own, so that nobody who works is woken.
LISTEN leaderjobs_doctor;

-- name: say
-- In a transaction of its own, as an enqueuing does.
SELECT pg_notify('leaderjobs_doctor', %(word)s);

-- name: remember
-- A setting of the session that means nothing to anybody.
SELECT set_config('leaderjobs.doctor', %(word)s, false);

-- name: remembered
-- Empty or NULL where another session answers.
SELECT current_setting('leaderjobs.doctor', true) AS word;

-- name: old_transactions
-- Whatever keeps vacuum from removing dead rows: transactions, prepared ones, and slots that nobody reads.
SELECT 'pid ' || a.pid AS what, a.usename::text AS role, a.application_name AS application, now() - a.xact_start AS age
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.xact_start < now() - %(age)s::interval
UNION ALL
SELECT 'prepared transaction ' || p.gid, p.owner::text, '', now() - p.prepared
FROM pg_prepared_xacts p
WHERE p.database = current_database() AND p.prepared < now() - %(age)s::interval
UNION ALL
SELECT 'replication slot ' || s.slot_name, '', '', NULL
FROM pg_replication_slots s
WHERE NOT s.active AND s.xmin IS NOT NULL
ORDER BY age DESC NULLS LAST
LIMIT %(most)s;

-- name: unvacuumed
-- Tables of ours for which somebody has turned autovacuum off.
SELECT n.nspname || '.' || c.relname AS name
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_options_to_table(c.reloptions) o
WHERE (n.nspname = 'leaderjobs' OR n.nspname || '.' || c.relname = ANY (%(tables)s))
  AND o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean
ORDER BY name
LIMIT %(most)s;

-- name: clock
-- Of the moment, not of the transaction's beginning.
SELECT clock_timestamp() AS now;
