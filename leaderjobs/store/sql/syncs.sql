-- name: publish
-- All of a cluster's syncs at once; those that are not among them go.
SELECT leaderjobs.publish_syncs(%(cluster)s, %(syncs)s);
