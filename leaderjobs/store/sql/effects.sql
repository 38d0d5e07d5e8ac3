-- name: plan
-- The effect and its job, together or not at all; no job where the business key is there already.
SELECT leaderjobs.plan(
    %(cluster)s, %(effect)s, %(priority)s,
    coalesce(%(at)s::timestamptz, now() + coalesce(%(delay)s::interval, interval '0'))) AS job;

-- name: installation
-- Made with the schema, never changed.
SELECT id FROM leaderjobs.installation;

-- name: of_key
-- The effect that a business key stands for.
SELECT id FROM leaderjobs.effects
WHERE cluster = %(cluster)s AND connection = %(connection)s AND operation = %(operation)s
  AND business_key = %(business_key)s;

-- name: siblings
-- An effect and its retries, the newest last.
SELECT id, business_key, state FROM leaderjobs.effects
WHERE cluster = %(cluster)s AND connection = %(connection)s AND operation = %(operation)s
  AND (business_key = %(business_key)s OR starts_with(business_key, %(business_key)s || ':retry-'))
ORDER BY created_at, id;

-- name: get
-- With the clock that its stamps are written by.
SELECT e.*, clock_timestamp() AS now FROM leaderjobs.effects e WHERE e.cluster = %(cluster)s AND e.id = %(id)s;

-- name: sends
-- In the order they were stamped.
SELECT s.* FROM leaderjobs.effect_sends s WHERE s.effect = %(id)s ORDER BY s.n;

-- name: newest
-- Newest first; every condition that is not given lets all through.
SELECT e.* FROM leaderjobs.effects e
WHERE e.cluster = %(cluster)s
  AND (%(states)s::text[] IS NULL OR e.state = ANY (%(states)s))
  AND (%(connection)s::text IS NULL OR e.connection = %(connection)s)
  AND (%(since)s::timestamptz IS NULL OR e.created_at >= %(since)s)
  AND (NOT %(contradicted)s OR e.contradiction <> '')
ORDER BY e.created_at DESC, e.id
LIMIT %(limit)s;

-- name: found
-- By the beginning of the id, as people type it.
SELECT id FROM leaderjobs.effects
WHERE cluster = %(cluster)s AND starts_with(id::text, %(prefix)s) ORDER BY created_at DESC LIMIT 2;

-- name: counts
-- What people should know: what is not settled, and what evidence contradicts.
SELECT count(*) FILTER (WHERE state = 'uncertain') AS uncertain,
       count(*) FILTER (WHERE contradiction <> '') AS contradicted
FROM leaderjobs.effects
WHERE cluster = %(cluster)s AND (state = 'uncertain' OR contradiction <> '');

-- name: stamp
-- Inside a fenced transaction, and committed before the first byte leaves.
SELECT * FROM leaderjobs.stamp(
    %(cluster)s, %(id)s, %(version)s, %(stamp)s, %(number)s, %(member)s, %(basis)s, %(window)s);

-- name: may_leave
-- Right before the first byte: no clock of ours is asked.
SELECT EXISTS (
    SELECT FROM leaderjobs.terms t
    WHERE t.cluster = %(cluster)s AND t.partition = %(partition)s AND t.number = %(number)s
) AND EXISTS (
    SELECT FROM leaderjobs.effect_sends s
    WHERE s.stamp = %(stamp)s AND s.told IS NULL AND clock_timestamp() < s.sent_at + %(age)s
) AS fine;

-- name: record
-- Anybody may, also a leader of an older term.
SELECT leaderjobs.record(
    %(cluster)s, %(id)s, %(stamp)s, %(told)s, %(code)s, %(message)s, %(status)s, %(replayed)s, %(should_retry)s,
    %(request_id)s, %(remote_id)s, %(facts)s, %(retry_after)s) AS recorded;

-- name: settle
-- Only on what was decided on: a piece of evidence that came meanwhile must be looked at first.
UPDATE leaderjobs.effects
SET state = %(state)s, code = %(code)s, reason = %(reason)s, facts = %(facts)s, by_other = %(by_other)s,
    remote_id = CASE %(remote_id)s WHEN '' THEN remote_id ELSE %(remote_id)s END,
    settled_at = clock_timestamp(), version = version + 1,
    looked_up_at = CASE WHEN %(looked)s THEN clock_timestamp() ELSE looked_up_at END
WHERE cluster = %(cluster)s AND id = %(id)s AND version = %(version)s AND state = ANY (%(from)s)
RETURNING version;

-- name: looked
-- A look-up that changed nothing is worth showing, and nothing more.
UPDATE leaderjobs.effects SET looked_up_at = clock_timestamp() WHERE cluster = %(cluster)s AND id = %(id)s;

-- name: resolve
-- A person decides; the job that waits is due at once, to end likewise.
WITH resolved AS (
    UPDATE leaderjobs.effects
    SET state = %(state)s, code = 'resolved', reason = %(note)s, note = %(note)s, resolved_by = %(who)s,
        settled_at = clock_timestamp(), version = version + 1
    WHERE cluster = %(cluster)s AND id = %(id)s AND state = %(from)s AND version = %(version)s
    RETURNING id
), due AS (
    UPDATE leaderjobs.jobs j SET scheduled_at = now()
    FROM resolved
    WHERE j.effect = resolved.id AND j.state IN ('scheduled', 'available', 'retryable', 'uncertain')
    RETURNING j.connection, j.priority, j.scheduled_at
)
SELECT resolved.id,
       (SELECT leaderjobs.wake(%(cluster)s, due.connection, due.priority, due.scheduled_at) FROM due),
       pg_notify('leaderjobs', %(cluster)s)
FROM resolved;

-- name: job_of
-- Jobs are pruned after their end, effects never are.
SELECT id FROM leaderjobs.jobs WHERE cluster = %(cluster)s AND effect = %(id)s;
