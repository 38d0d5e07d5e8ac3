"""The main job on one machine, with real servers and real processes, and proof that it was done right.

`rig` starts and stops everything: a ZooKeeper, a Postgres, a Plaid stand-in and workers, all in one
directory. `story` runs a sync, kills the leader in the middle of it, and computes what came of it from
the provider's books and from Postgres, never from what the workers say of themselves. The cluster tests
and the benchmarks use the same rig.
"""
