"""Postgres, and the only SQL: the fence, the queue, the markers, and pages landing in tables.

Postgres is the authority on two questions: whose writes count (`terms`), and how far every stream has
come (`markers`). Everything a leader writes goes through `pool.fenced`, one transaction in one pipeline:

    BEGIN
    enter(term)      names the transaction after its term, bounds its waits, refuses an older term
    ... the work ...
    fence(term)      FOR SHARE on the term's row; refuses an older term
    COMMIT           travels with the fence: nothing of ours can come between them

Why an older term's write never commits after a newer term has begun (I1):
- the raise (`Terms.raise_fence`) is an UPDATE of the term's row. It waits for every transaction that holds
  the fence, so a commit in flight is before it; a fence that comes later finds another number.
- A transaction that holds the fence but whose client stalled would make the raise wait for ever. The raise
  waits a moment, then ends the backends that are inside a transaction of an older term (`evict`). They are
  found by the name that `enter` gave the transaction, not by a list of connections: that name is true
  behind a pooler as well, where a connection's backend changes with every transaction.
- A transaction of an older term that stalls BEFORE its fence blocks no raise, but its row locks would block
  the new leader's work. `enter` sets the name first and looks at the term second; so it either sees the
  newer term and is refused, or is seen by the eviction that follows every raise. After the raise returned,
  no older term holds a lock.
- `idle_in_transaction_session_timeout` alone is not enough: a backend whose client stalls in the middle of
  a pipeline counts as active.

The ledger of effects (`effects`) is the one place with writes that need no term: evidence of what became of
a send is true whoever brings it, so a leader that was deposed while it waited for an answer may still write
it down. Everything that decides (a stamp, a settlement) goes through `fenced`, and names the version of the
effect that it has seen; evidence and decisions lock the effect first and the job after it.

Errors: everything psycopg raises becomes an error of `leaderjobs.errors` (`faults`), one line, without
libpq's words, which may quote a mistyped URL and its password. When a connection breaks during COMMIT the
outcome is unknown: StoreUnavailable, and the caller reads the marker or the job again.

SQL lives in `sql/*.sql` (statements by name) and `migrations/*.sql`; what a page's landing needs is a
function of the schema, because the table's name is data there.

How a page lands (`batches`; the SQL is in migrations 0001 and 0003):
- its rows take an order key, the marker's sequence or the provider's own, and one with a lower key never
  takes the place of one with a higher; so a stream's sequence never begins anew. `Markers.reset` forgets the
  cursor, keeps the sequence and counts `resets`: an attempt that is at work with the old cursor is refused
  its next page, which it would otherwise commit as if nothing had been forgotten;
- pages that must show together are staged, what a complete listing has met is remembered, both durably and
  under the pile of their stream. A job with a window has a pile of its own: its pages may come between those
  of the stream's own update, and must neither complete nor spoil it;
- a scope's column may be one that is still being filled (`tables`): the view's expression is used for it.
"""
