"""Each guard of I2 and its neighbours, taken out of a member's own process: for tests that must then fail.

A mutation changes nothing but the guard, and nothing of it is in the product. Where guards lie behind each
other, the test that needs one of them catches the member at the place where only that one is left.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from leaderjobs import clock
from leaderjobs.connectors.base import Operation
from leaderjobs.engine import operator as operating
from leaderjobs.engine import send_channel
from leaderjobs.errors import TransientError
from leaderjobs.model import settle
from leaderjobs.model.effect import EffectState, Told
from leaderjobs.model.term import Term
from leaderjobs.store import effects as ledger
from leaderjobs.store import jobs as queue
from leaderjobs.store import pool

FOR_EVER: Final = timedelta(days=3650)


def fence_ignored() -> None:
    """A transaction of a term says whose it is, and nobody checks that this term still leads."""

    @contextmanager
    def unfenced(
        connections: pool.TermConnections, term: Term, statement: timedelta = pool.SHORT_STATEMENT
    ) -> Iterator[pool.Connection]:
        term.check()
        with connections.use() as connection, pool.piped(connection, statement):
            connection.execute(
                "SELECT set_config('application_name', leaderjobs.term_name(%s, %s, %s), true)",
                (term.cluster, term.partition, term.number),
            )
            yield connection
            term.check()

    for module in (ledger, queue):
        _put(module, "fenced", unfenced)


def stamp_skipped() -> None:
    """A send leaves without a word in the ledger."""

    def stamp(
        _self: Any, _connections: Any, _term: Any, effect: Any, nonce: uuid.UUID, *_: Any
    ) -> ledger.Stamp:
        return ledger.Stamp(nonce, len(effect.sends) + 1, clock.now(), effect.version)

    _put(ledger.Effects, "stamp", stamp)
    ledger_not_asked()


def stamp_after_send() -> None:
    """First the send, then the word in the ledger."""
    stamp, record = ledger.Effects.stamp, ledger.Effects.record
    late: dict[uuid.UUID, Callable[[], object]] = {}

    def later(
        self: Any, connections: Any, term: Any, effect: Any, nonce: uuid.UUID, *more: Any
    ) -> ledger.Stamp:
        late[nonce] = lambda: stamp(self, connections, term, effect, nonce, *more)
        return ledger.Stamp(nonce, len(effect.sends) + 1, clock.now(), effect.version + 1)

    def and_stamp(self: Any, effect: Any, nonce: uuid.UUID, verdict: Any) -> Any:
        late.pop(nonce, lambda: None)()
        return record(self, effect, nonce, verdict)

    _put(ledger.Effects, "stamp", later)
    _put(ledger.Effects, "record", and_stamp)
    ledger_not_asked()


def fresh_key_per_send() -> None:
    """Every send has a key of its own."""
    named = operating._named

    def fresh(*arguments: Any) -> Any:
        request = named(*arguments)
        headers = {**request.headers, "Idempotency-Key": f"lj-{uuid.uuid4()}"}
        return dataclasses.replace(request, headers=headers)

    _put(operating, "_named", fresh)


def _with_rules(**changed: Any) -> None:
    decide = settle.next_step

    def next_step(effect: Any, found: Any, rules: settle.Rules, now: Any) -> Any:
        relevant = {name: value for name, value in changed.items() if getattr(rules, name)}
        return decide(effect, found, dataclasses.replace(rules, **relevant), now)

    _put(operating, "next_step", next_step)


def _put(owner: object, name: str, instead: object) -> None:
    """Replace a function or the like; what is replaced must be there."""
    assert hasattr(owner, name), name
    setattr(owner, name, instead)


def window_ignored() -> None:
    """The same key is taken to mean the same for ever, where it means anything."""
    _with_rules(replay_window=FOR_EVER)
    stamp: Callable[..., ledger.Stamp] = ledger.Effects.stamp

    def ever(*arguments: Any) -> ledger.Stamp:
        return stamp(*arguments[:-1], FOR_EVER)

    _put(ledger.Effects, "stamp", ever)


def look_up_ignored() -> None:
    """Nobody looks whether it has happened."""
    _with_rules(looks_up=False)


def lag_ignored() -> None:
    """What a look-up does not show at once is taken for what never happens."""
    _with_rules(absent_after=timedelta(microseconds=1))


def evidence_of_deposed_refused() -> None:
    """Only the term that leads may say what became of a send."""
    record = ledger.Effects.record

    def of_leaders(self: Any, effect: Any, nonce: uuid.UUID, verdict: Any) -> Any:
        found = self._database.rows(
            """
            SELECT 1 FROM leaderjobs.effect_sends s JOIN leaderjobs.effects e ON e.id = s.effect
            JOIN leaderjobs.terms t ON t.cluster = e.cluster AND t.number = s.term
            WHERE s.stamp = %(stamp)s
            """,
            {"stamp": nonce},
        )
        return record(self, effect, nonce, verdict) if found else None

    _put(ledger.Effects, "record", of_leaders)


def deadline_ignored() -> None:
    """A term is trusted for ever, and is over only when somebody says so."""
    _put(Term, "trusted_until", property(lambda self: self.elapsed() + FOR_EVER.total_seconds()))
    _put(Term, "may_start", lambda self: not self.over.is_set())


def ledger_not_asked() -> None:
    """Whether the term still leads is not looked up right before a send."""
    _put(ledger.Effects, "may_leave", lambda *_: True)


def guard_removed() -> None:
    """Nothing at all is asked between the stamp and the socket."""

    def guard(self: Any) -> None:
        self.passed = True

    _put(send_channel.SendChannel, "guard", guard)


def second_request_let_out() -> None:
    """Nobody remembers that a stamp was used."""
    asked = send_channel.SendChannel.guard

    def guard(self: Any) -> None:
        self.asked = False
        asked(self)

    _put(send_channel.SendChannel, "guard", guard)


def unreplayed_decline_believed() -> None:
    """A no to one send is taken for a no to all of them."""
    refusal = settle._refusal

    def any_no(sends: Any, doubtful: Any, found: Any) -> Any:
        said = [send.verdict for send in sends if send.verdict and send.told is Told.DECLINED]
        if said:
            return settle.Settle(EffectState.FAILED, said[-1].code, said[-1].message)
        return refusal(sends, doubtful, found)

    _put(settle, "_refusal", any_no)


def rescue_skipped() -> None:
    """A new term leaves the jobs of the old one as they are."""
    _put(queue.Jobs, "rescue", lambda *_: 0)


def attempt_spent() -> None:
    """What a lost term interrupts counts as an attempt."""
    spent = {**queue._SQL, "rescue": queue._SQL["rescue"].replace("attempt = attempt - 1,", "")}
    _put(queue, "_SQL", spent)


def impatient() -> None:
    """No guard, but what somebody's own operation might do: send again when there is no answer."""

    def transmit(_self: Any, request: Any, channel: Any) -> Any:
        try:
            return channel.exchange(request)
        except TransientError:
            return channel.exchange(request)

    _put(Operation, "transmit", transmit)


HABITS: Final[Mapping[str, Callable[[], None]]] = {"impatient": impatient}
MUTATIONS: Final[Mapping[str, Callable[[], None]]] = {
    mutation.__name__: mutation
    for mutation in (
        fence_ignored,
        stamp_skipped,
        stamp_after_send,
        fresh_key_per_send,
        window_ignored,
        look_up_ignored,
        lag_ignored,
        evidence_of_deposed_refused,
        deadline_ignored,
        ledger_not_asked,
        guard_removed,
        second_request_let_out,
        unreplayed_decline_believed,
        rescue_skipped,
        attempt_spent,
    )
}
