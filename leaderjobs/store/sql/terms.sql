-- name: raise
-- The whole decision in one statement, so racing raises are safe: one of them finds the other's token.
INSERT INTO leaderjobs.terms AS t (cluster, partition, number, token, origin, member)
VALUES (%(cluster)s, %(partition)s, 1, %(token)s, %(origin)s, %(member)s)
ON CONFLICT (cluster, partition) DO UPDATE
SET number = t.number + 1, token = excluded.token, member = excluded.member, raised_at = now()
WHERE t.origin = excluded.origin AND t.token < excluded.token
RETURNING number;

-- name: evict_for_raise
-- Only who may raise may evict: a claimant with a lower token must not cut off the leader.
SELECT leaderjobs.evict(t.cluster, t.partition, t.number)
FROM leaderjobs.terms t
WHERE t.cluster = %(cluster)s AND t.partition = %(partition)s AND t.origin = %(origin)s AND t.token < %(token)s;

-- name: evict_older
-- After a raise: what entered before it and has not reached its fence yet lets go of its row locks.
SELECT leaderjobs.evict(%(cluster)s, %(partition)s, %(number)s - 1);

-- name: current
-- The term whose writes count.
SELECT partition, number, token, origin, member, raised_at
FROM leaderjobs.terms
WHERE cluster = %(cluster)s AND partition = %(partition)s;

-- name: adopt
-- Token 0 lets the first claim of the new coordinator raise; number + 1 ends the term that still leads.
UPDATE leaderjobs.terms
SET number = number + 1, token = 0, origin = %(origin)s, raised_at = now()
WHERE cluster = %(cluster)s AND origin <> %(origin)s
RETURNING partition, number;

-- name: evict_for_adopt
-- As evict_for_raise, for every partition that is about to be adopted.
SELECT leaderjobs.evict(t.cluster, t.partition, t.number)
FROM leaderjobs.terms t
WHERE t.cluster = %(cluster)s AND t.origin <> %(origin)s;
