"""What a member does: no SQL, no sockets, only the story.

One member, many members
    Every member runs the same `worker`: it joins, stands in line, follows the leader's markers, and when
    its turn comes it leads. Nothing asks "am I the leader?"; work is *given* a Term and checks that.

Who is authoritative for what
    - the coordinator: who may try to lead (a claim and its fencing token);
    - Postgres: whose writes count (the fence in store/terms) and how far every stream is (markers);
    - a member's own boot clock: how long it may believe in its Term without having heard more;
    - the ledger (store/effects): what was sent to third parties and what came back. `model.settle` decides
      from it alone, so every leader, at every try, comes to the same decision.
    A replica of markers is a copy: good for showing lag and for noticing lost commits, never a source.

A member's states
    FOLLOWING   in line; the follower keeps the replica
    CLAIMED     the coordinator said yes; heartbeats run; the fence is being raised; nothing else may happen
    LEADING     the fence is ours; the services of `leader` run: rescue, dispatch, run, upkeep of the tables
    PAUSED      the link is in doubt, or half of the trusted time passed: start nothing, finish what runs
    DRAINING    asked to stop: claim nothing, stop every sync between two pages, give the attempts back
    STEPPED DOWN  LOST, own node gone, or the deadline passed: everything of this Term is cut off at once
    PAUSED goes back to LEADING only by an acknowledged heartbeat before the deadline. A Term that is over
    never resumes: the member stands in line again, with a new candidate, and gets a new number.

The races that this order prevents
    - services start only after the fence is raised, so no write of ours precedes the end of the old term;
    - heartbeats run on the elector's thread while the fence is raised on another, so that a slow Postgres
      does not cost the claim;
    - trust counts from the instant *before* the acknowledged heartbeat was sent, so a slow answer cannot
      stretch it (River's leadership notes; client-go's RenewDeadline has the same anchor);
    - the deadline has a guard thread of its own, because the elector may be waiting for an answer that
      never comes;
    - resigning comes last, after the final fenced write, else two members would work at once;
    - an operation is stamped in the ledger before it is sent and looked at once more right before its first
      byte leaves, so a leader that slept in between finds its term over; what leaves all the same is the same
      request under the same key (`operator`, `model.settle`);
    - a resigned or failed leader goes to the end of the line with a new candidate; an old candidate that
      survived is removed before a new one is made.
"""
