"""The ledger of effects: planned by anybody, stamped by the leader, told about by whoever knows.

What is durable when (sync.md §11):

    plan     effect and job, one transaction             a second wish for the same thing finds the first
    stamp    under the fence, before the send            a row without a stamp provably never left us
    ...      the request is out; no transaction is open
    record   by anybody, a deposed leader included       evidence is true whoever brings it
    settle   under the fence, on the version decided on  a decision never overlooks evidence

A stamp without evidence means: it may have acted. So a process may die between any two of these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from psycopg.types.json import Jsonb

from leaderjobs import clock
from leaderjobs.errors import Refused, UsageError
from leaderjobs.model.effect import (
    TRANSITIONS,
    Effect,
    EffectState,
    NewEffect,
    Request,
    Send,
    Told,
    Verdict,
)
from leaderjobs.model.job import DEFAULT_PRIORITY
from leaderjobs.model.settle import Basis, Settle, in_flight_until
from leaderjobs.model.term import Term
from leaderjobs.store import queries
from leaderjobs.store.pool import Database, TermConnections, fenced, rows_of
from leaderjobs.store.text import storable, storable_json
from leaderjobs.store.wishes import effect_document

MOST_LISTED = 10_000
MOST_FACTS_BYTES = 4096
LONGEST_BEFORE_LEAVING = timedelta(minutes=1)
"""Between a stamp and the first byte of its send: the connect, with room to spare."""
_SQL = queries.load("effects")


@dataclass(frozen=True, slots=True)
class Stamp:
    """A committed permission to send once; `record` says what became of it."""

    id: UUID
    n: int
    sent_at: datetime
    version: int


class Effects:
    """The effects of one cluster. Any thread."""

    def __init__(self, database: Database, cluster: str) -> None:
        """Nothing is asked before the first call."""
        self._database = database
        self._cluster = cluster
        self._installation: UUID | None = None

    # -- anybody -------------------------------------------------------------------------------------------

    def plan(
        self,
        new: NewEffect,
        *,
        priority: int = DEFAULT_PRIORITY,
        at: datetime | None = None,
        delay: timedelta | None = None,
    ) -> tuple[Effect, int, bool]:
        """Store an effect and its job and wake the leader: the effect, its job's id, and whether it is new.

        A second wish for the same business key returns the first effect; Refused when its arguments are
        others, with both. `at` and `delay` are as in `Jobs.enqueue`; they change no effect that is there.
        """
        wish = {"effect": Jsonb(effect_document(new)), "priority": priority, "at": at, "delay": delay}
        job = self._database.rows(_SQL["plan"], self._who(**wish))[0]["job"]
        if job is not None:
            return self.get(new.id), int(job), True
        who = self._who(connection=new.connection, operation=new.operation, business_key=new.business_key)
        there = self.get(self._database.rows(_SQL["of_key"], who)[0]["id"])
        _refuse_others(there, new.arguments)
        return there, self.job_of(there.id), False

    def identify(self, connection: str, operation: str, business_key: str) -> UUID:
        """The id of this effect, whoever asks for it and whenever; its idempotency key is made of it.

        Derived, not drawn: a database that has lost the effect's row asks under the same key again.
        """
        if self._installation is None:
            self._installation = self._database.rows(_SQL["installation"])[0]["id"]
        return uuid5(self._installation, json.dumps([self._cluster, connection, operation, business_key]))

    def get(self, effect_id: UUID) -> Effect:
        """The effect with its sends; Refused when this cluster has none of that id."""
        return self.load(effect_id)[0]

    def load(self, effect_id: UUID) -> tuple[Effect, datetime]:
        """As `get`, and the instant of it on the database's clock."""
        with self._database.transaction() as connection:
            effect = connection.execute(_SQL["get"], self._who(id=effect_id))
            sends = connection.execute(_SQL["sends"], {"id": effect_id})
        found = rows_of(effect)
        if not found:
            raise Refused(f"cluster {self._cluster} has no effect {effect_id}")
        return _effect(found[0], rows_of(sends)), found[0]["now"]

    def find(self, prefix: str) -> Effect:
        """The effect whose id begins so; UsageError when none or several do."""
        found = self._database.rows(_SQL["found"], self._who(prefix=prefix.lower()))
        if len(found) != 1 or not prefix:
            many = "several effects begin" if found else "no effect begins"
            raise UsageError(f"{many} with {prefix!r}; see: leaderjobs effects list")
        return self.get(found[0]["id"])

    def newest(
        self,
        *,
        states: Sequence[EffectState] = (),
        connection: str | None = None,
        since: datetime | None = None,
        contradicted: bool = False,
        limit: int = 100,
    ) -> list[Effect]:
        """The newest effects, without sends; `contradicted`: only where late evidence says otherwise."""
        where = self._who(
            states=[state.value for state in states] or None,
            connection=connection,
            since=since,
            contradicted=contradicted,
            limit=min(limit, MOST_LISTED),
        )
        return [_effect(row, []) for row in self._database.rows(_SQL["newest"], where)]

    def siblings(self, connection: str, operation: str, base_key: str) -> list[tuple[UUID, str, EffectState]]:
        """Id, business key and state of every effect of `base_key` and its retries, the oldest first."""
        who = self._who(connection=connection, operation=operation, business_key=base_key)
        rows = self._database.rows(_SQL["siblings"], who)
        return [(row["id"], row["business_key"], EffectState(row["state"])) for row in rows]

    def counts(self) -> tuple[int, int]:
        """How many are uncertain, and of how many evidence says something else than their state."""
        found = self._database.rows(_SQL["counts"], self._who())[0]
        return int(found["uncertain"]), int(found["contradicted"])

    def job_of(self, effect_id: UUID) -> int:
        """The id of the effect's job; 0 when it has been pruned."""
        found = self._database.rows(_SQL["job_of"], self._who(id=effect_id))
        return int(found[0]["id"]) if found else 0

    def resolve(
        self, effect: Effect, state: EffectState, who: str, note: str, *, force: bool = False
    ) -> Effect:
        """A person settles an uncertain effect, or takes a planned one back; Refused in any other state.

        Refused also when evidence has come since `effect` was read, or says otherwise; and, unless with
        `force`, as failed while a send of it may still reach the provider.
        """
        origin = EffectState.PLANNED if state is EffectState.CANCELLED else EffectState.UNCERTAIN
        if state is EffectState.FAILED and effect.state is origin:
            _refuse_failure(effect, clock.now(), force=force)
        wanted = self._who(
            id=effect.id,
            version=effect.version,
            state=state.value,
            who=storable(who),
            note=storable(note),
            **{"from": origin.value},
        )
        if not self._database.rows(_SQL["resolve"], wanted):
            now = self.get(effect.id)
            if now.state is origin:
                raise Refused(
                    f"evidence on effect {effect.id} has just come in; see: leaderjobs effects show"
                )
            raise Refused(
                f"effect {effect.id} is {now.state}; only an effect that is {origin} can become {state}"
            )
        return self.get(effect.id)

    def record(self, effect: Effect, stamp: UUID, verdict: Verdict) -> bool:
        """Tell what became of a stamped send, and wake who waits for it; needs no term.

        False when this stamp was never committed, or evidence of it is there already.
        """
        found = self._database.rows(
            _SQL["record"],
            self._who(
                id=effect.id,
                stamp=stamp,
                told=verdict.told.value,
                code=storable(verdict.code),
                message=storable(verdict.message),
                status=verdict.status,
                replayed=verdict.replayed,
                should_retry=verdict.should_retry,
                request_id=storable(verdict.request_id),
                remote_id=storable(verdict.remote_id),
                facts=_facts(verdict.facts),
                retry_after=verdict.retry_after,
            ),
        )
        return bool(found[0]["recorded"])

    def looked(self, effect: Effect) -> None:
        """Note that a look-up was made now and changed nothing."""
        with self._database.transaction() as connection:
            connection.execute(_SQL["looked"], self._who(id=effect.id))

    # -- the leader ----------------------------------------------------------------------------------------

    def stamp(
        self,
        connections: TermConnections,
        term: Term,
        effect: Effect,
        stamp: UUID,
        basis: Basis,
        window: timedelta | None,
    ) -> Stamp:
        """Write down, under the fence, that a send is about to leave; committed when this returns.

        Refused when the effect is not as `effect` shows it any more, or `window` is over for `basis` KEY.
        StoreUnavailable: unknown whether it is written; nothing may be sent, and `record` may say NOT_SENT.
        """
        parameters = self._who(
            id=effect.id,
            version=effect.version,
            stamp=stamp,
            number=term.number,
            member=term.member,
            basis=basis.value,
            window=window,
        )
        with fenced(connections, term) as connection:
            cursor = connection.execute(_SQL["stamp"], parameters)
        row = rows_of(cursor)[0]
        return Stamp(stamp, row["n"], row["sent_at"], row["version"])

    def may_leave(self, term: Term, stamp: Stamp) -> bool:
        """Whether the term still leads, and the stamp is fresh by the clock that wrote it; takes no lock."""
        who = self._who(
            partition=term.partition, number=term.number, stamp=stamp.id, age=LONGEST_BEFORE_LEAVING
        )
        return bool(self._database.rows(_SQL["may_leave"], who)[0]["fine"])

    def settle(
        self, connections: TermConnections, term: Term, effect: Effect, end: Settle, *, looked: bool
    ) -> bool:
        """Bring the effect to the state decided on; False when it is not as `effect` shows it any more."""
        if end.state not in TRANSITIONS[effect.state]:
            raise AssertionError(f"no effect goes from {effect.state} to {end.state}")
        parameters = self._who(
            id=effect.id,
            version=effect.version,
            state=end.state.value,
            code=storable(end.code),
            reason=storable(end.reason),
            remote_id=storable(end.remote_id),
            facts=_facts(end.facts),
            by_other=end.by_other,
            looked=looked,
            **{"from": [effect.state.value]},
        )
        with fenced(connections, term) as connection:
            cursor = connection.execute(_SQL["settle"], parameters)
        return cursor.rowcount == 1

    def _who(self, **more: object) -> dict[str, object]:
        return {"cluster": self._cluster, **more}


def _refuse_failure(effect: Effect, now: datetime, *, force: bool) -> None:
    """An effect that has acted, or may act after its retry has, must not be called failed."""
    done = next((send for send in effect.sends if send.told is Told.DONE), None)
    if done is not None:
        raise Refused(f"effect {effect.id} has not failed: send {done.n} came back and says that it is done")
    until = in_flight_until(effect.sends)
    if until is not None and now < until and not force:
        raise Refused(
            f"a send of effect {effect.id} may still reach the provider until {until:%Y-%m-%d %H:%M:%S}Z; "
            "resolve it then, or add --force when the provider has told you that it never will"
        )


def _refuse_others(there: Effect, wanted: Mapping[str, object]) -> None:
    differ = [
        f"{name}={there.arguments.get(name, 'not given')} then and {wanted.get(name, 'not given')} now"
        for name in sorted({*there.arguments, *wanted})
        if there.arguments.get(name) != wanted.get(name)
    ]
    if differ:
        raise Refused(
            f"effect {there.id} for {there.business_key} is there already with other arguments: "
            f"{'; '.join(differ)}; nothing was enqueued"
        )


def _facts(facts: Mapping[str, object]) -> Jsonb:
    """Small JSON as jsonb can hold it; what is too large to be worth keeping is left out, and said."""
    body = storable_json(json.dumps(dict(facts), default=str).encode())
    if len(body) > MOST_FACTS_BYTES:
        body = b'{"left_out": "too large"}'
    return Jsonb(body, dumps=bytes)


_SAME = (
    *(
        "id",
        "connection",
        "operation",
        "business_key",
        "arguments",
        "idempotency_key",
        "version",
        "max_attempts",
    ),
    *("created_at", "first_sent_at", "settled_at", "looked_up_at", "code", "reason", "remote_id", "facts"),
    *("by_other", "resolved_by", "note", "contradiction"),
)
_SAME_OF_SEND = (
    *(
        "code",
        "message",
        "remote_id",
        "facts",
        "status",
        "replayed",
        "should_retry",
        "request_id",
        "retry_after",
    ),
)
"""Columns that are called as the fields are."""


def _effect(row: Mapping[str, Any], sends: Sequence[Mapping[str, Any]]) -> Effect:
    return Effect(
        request=Request(row["method"], row["path"], bytes(row["body"]), row["headers"]),
        state=EffectState(row["state"]),
        sends=tuple(_send(send) for send in sends),
        **{name: row[name] for name in _SAME},
    )


def _send(row: Mapping[str, Any]) -> Send:
    told = row["told"]
    verdict = None if told is None else Verdict(Told(told), **{name: row[name] for name in _SAME_OF_SEND})
    return Send(row["n"], row["term"], row["member"], row["basis"], row["sent_at"], row["ended_at"], verdict)
