-- name: spend
-- No row comes back where the units would go over the limit. What was used of a period that is over counts no more.
INSERT INTO leaderjobs.quotas AS q (cluster, name, allowed, used, resets_at)
SELECT %(cluster)s, %(name)s, %(allowed)s, %(units)s, %(resets_at)s
WHERE %(units)s <= %(allowed)s
ON CONFLICT (cluster, name) DO UPDATE
SET allowed = excluded.allowed, resets_at = excluded.resets_at,
    used = excluded.used + CASE WHEN q.resets_at > now() THEN q.used ELSE 0 END
WHERE excluded.used + CASE WHEN q.resets_at > now() THEN q.used ELSE 0 END <= excluded.allowed
RETURNING used;

-- name: observe
-- The provider's own word; another member's requests may be counted here and not there yet, so it never falls.
INSERT INTO leaderjobs.quotas AS q (cluster, name, allowed, used, resets_at)
VALUES (%(cluster)s, %(name)s, %(allowed)s, %(used)s, %(resets_at)s)
ON CONFLICT (cluster, name) DO UPDATE
SET allowed = excluded.allowed, resets_at = excluded.resets_at,
    used = greatest(excluded.used, CASE WHEN q.resets_at > now() THEN q.used ELSE 0 END);

-- name: prune
-- Names may hold a period, so old ones are never met again.
DELETE FROM leaderjobs.quotas WHERE cluster = %(cluster)s AND resets_at < now() - interval '7 days';

-- name: all
-- Only of periods that are not over.
SELECT name, used, allowed AS "limit", resets_at
FROM leaderjobs.quotas WHERE cluster = %(cluster)s AND resets_at > now() ORDER BY name;
