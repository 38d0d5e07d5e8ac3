-- name: begin
-- Read committed, whatever the database's default: the fence must see a raise that committed meanwhile.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: commit
COMMIT;

-- name: bound
-- Nobody waits for ever on a lock or a statement; local, so that it also holds behind a pooler.
SELECT set_config('lock_timeout', %(lock_ms)s::text, true),
       set_config('statement_timeout', %(statement_ms)s::text, true);

-- name: enter
-- First of every transaction of a term: names it after the term, bounds it, refuses an older term.
SELECT leaderjobs.enter(%(cluster)s, %(partition)s, %(number)s, %(idle_ms)s, %(lock_ms)s, %(statement_ms)s);

-- name: fence
-- Last before COMMIT, and sent with it.
SELECT leaderjobs.fence(%(cluster)s, %(partition)s, %(number)s);

-- name: warm
-- Touches what a take-over touches, so that this backend has read the catalogs for it beforehand.
SELECT leaderjobs.evict('', 0, -1),
       (SELECT max(number) FROM leaderjobs.terms WHERE cluster = '' AND partition = 0),
       (SELECT max(sequence) FROM leaderjobs.markers WHERE cluster = ''),
       (SELECT max(id) FROM leaderjobs.jobs WHERE cluster = '' AND state = 'running'),
       (SELECT max(page) FROM leaderjobs.stages WHERE cluster = '' AND connection = '' AND pile = ''),
       (SELECT max(until) FROM leaderjobs.holds WHERE cluster = '');
