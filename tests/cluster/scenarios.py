"""Small stories that need one guard each: with it they end well, without it a judge says no.

Each plays on a scene of its own (`Field.begin`) with members that may lack a guard (`mutations`), and leaves the
judging to whoever called.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

from leaderjobs import clock
from leaderjobs.model.effect import EffectState
from tests.cluster.feeding import open_invoices
from tests.cluster.field import Field
from tests.cluster.history import What
from tests.cluster.points import Do
from tests.cluster.provider_faults import PAY
from tests.cluster.working import ask, depose, leading, newest_member, order, state, within
from tests.support import eventually

Lacking = tuple[str, ...]
Scenario = Callable[[Field, Lacking], None]
PATIENCE: Final = 15.0
LACKING_PATIENCE: Final = 2.0
"""For what may never come where a guard is missing."""
DAY: Final = 86_400.0
LOST: Final = {"kind": "drop", "method": "POST", "after": True, "count": 1}
"""The provider acts, and its answer is lost."""


def _ends(field: Field, effect: UUID, lacking: Lacking) -> None:
    """Wait for the end; not for long where a guard is missing, for then there may be none."""
    if lacking:
        within(LACKING_PATIENCE, lambda: state(field, effect))
    else:
        eventually(lambda: state(field, effect), PATIENCE, "the effect to be settled")


def _taken(field: Field, place: str) -> None:
    eventually(lambda: field.tokens.taken(place), PATIENCE, f"a member to come to {place}")


def _both(field: Field, lacking: Lacking) -> None:
    """`a` leads, `b` follows."""
    leading(field, "a", lacking)
    field.start_member("b", lacking)
    eventually(lambda: len(field.session.members()) == 2, PATIENCE, "both members")


def a_payment_that_is_sent_again(field: Field, lacking: Lacking = ()) -> None:
    """The provider fails before it acts, once."""
    leading(field, "a", lacking)
    field.stripe.faults({"kind": "server_error", "stored": False, "path": PAY, "count": 1})
    _ends(field, ask(field, open_invoices(field)[0]), lacking)


def an_order_that_is_sent_again(field: Field, lacking: Lacking = ()) -> None:
    """The answer is lost, and only the key keeps the second send from being a second order."""
    leading(field, "a", lacking)
    field.orders.faults(LOST)
    _ends(field, order(field, "order_once", f"again {field.cluster}"), lacking)


def an_order_a_day_later(field: Field, lacking: Lacking = ()) -> None:
    """The leader dies with its request out, and a day passes before there is another: the key is forgotten."""
    # Lost as well: an answer that came just before the death would have been one, to the judges.
    field.orders.faults(LOST)
    field.tokens.lay("after_send", Do.KILL)
    leading(field, "a", lacking)
    effect = order(field, "order_once", f"yesterday {field.cluster}")
    _taken(field, "after_send")
    eventually(lambda: field.orders.book()["orders"], PATIENCE, "the order to arrive")
    field.age(effect, DAY)
    field.orders.change(advance_seconds=DAY)
    leading(field, "b", lacking)
    _ends(field, effect, lacking)


def a_payment_a_day_later(field: Field, lacking: Lacking = ()) -> None:
    """The same at Stripe, which never got the request: the look-up shows an open invoice, which proves nothing."""
    field.stripe.faults({"kind": "drop", "method": "POST", "path": PAY, "count": 1})
    field.tokens.lay("after_send", Do.KILL)
    leading(field, "a", lacking)
    effect = ask(field, open_invoices(field)[0])
    _taken(field, "after_send")
    field.age(effect, DAY)
    field.stripe.change(advance_seconds=DAY)
    leading(field, "b", lacking)
    _ends(field, effect, lacking)
    assert lacking or state(field, effect) is EffectState.UNCERTAIN


def a_leader_whose_wall_clock_jumps(field: Field, lacking: Lacking = ()) -> None:
    """A day and more forward, and then back: it goes on leading and paying as if nothing had happened."""
    leading(field, "a", lacking)
    for hours in (30, -30):
        field.set_clock("a", hours * 3600.0)
        eventually(lambda hours=hours: _hours_ahead(field) == hours, PATIENCE, "the leader's clock to jump")  # type: ignore[misc]
        _ends(field, ask(field, open_invoices(field)[0]), lacking)
    found = field.stores.terms.current(0)
    assert found is not None
    assert found.number == 1


def _hours_ahead(field: Field) -> int:
    found = field.session.leader(0)
    return 0 if found is None else round((found.heartbeat_at - clock.now()).total_seconds() / 3600)


def an_order_that_only_a_look_up_shows(field: Field, lacking: Lacking = ()) -> None:
    """Keys mean nothing here, and the answer is lost."""
    field.orders.change(keys="ignored")
    field.orders.faults(LOST)
    leading(field, "a", lacking)
    _ends(field, order(field, "order_seen", f"seen {field.cluster}"), lacking)


def an_order_that_shows_late(field: Field, lacking: Lacking = ()) -> None:
    """The same, and look-ups show what was true two seconds ago."""
    field.orders.change(keys="ignored", read_lag_ms=2000)
    field.orders.faults(LOST)
    leading(field, "a", lacking)
    _ends(field, order(field, "order_seen", f"late {field.cluster}"), lacking)


def an_answer_that_a_deposed_leader_brings(field: Field, lacking: Lacking = ()) -> None:
    """It was stopped with the answer in its hand; nothing else can ever tell what became of the order."""
    field.tokens.lay("before_record", Do.STOP)
    _both(field, lacking)
    effect = order(field, "order_blind", f"told late {field.cluster}")
    _taken(field, "before_record")
    eventually(
        lambda: state(field, effect) is EffectState.UNCERTAIN, PATIENCE, "the successor to be in doubt"
    )
    field.send("a", signal.SIGCONT)
    within(LACKING_PATIENCE, lambda: state(field, effect) is EffectState.SUCCEEDED)


@contextmanager
def _nobody_is_evicted(field: Field) -> Iterator[None]:
    """As where the database's user may not end another's transactions."""
    written = field.audit.execute("SELECT pg_get_functiondef('leaderjobs.evict'::regproc) AS text")[0]["text"]
    field.audit.execute(
        """
        CREATE OR REPLACE FUNCTION leaderjobs.evict(in_cluster text, in_partition integer, newest bigint)
        RETURNS integer LANGUAGE sql AS 'SELECT 0'
        """
    )
    try:
        yield
    finally:
        field.audit.execute(written)


def a_leader_stopped_before_a_commit(field: Field, lacking: Lacking = ()) -> None:
    """It wakes between its last look at the clock and the COMMIT; its successor has begun, and done nothing yet.

    Its clock stood still meanwhile, and nobody could end its transaction: only the fence is left.
    """
    with _nobody_is_evicted(field):
        _stopped_before_a_commit(field, (*lacking, "deadline_ignored"), lacking)


def _stopped_before_a_commit(field: Field, all_lacking: Lacking, lacking: Lacking) -> None:
    field.tokens.lay("in_stamp", Do.STOP)
    _both(field, all_lacking)
    effect = ask(field, open_invoices(field)[0])
    _taken(field, "in_stamp")
    field.tokens.lay("after_raise", Do.STOP)
    _taken(field, "after_raise")
    field.send("a", signal.SIGCONT)
    within(
        LACKING_PATIENCE, lambda: "term_ended" in field.logs("a") or field.stores.effects.get(effect).sends
    )
    field.send("b", signal.SIGCONT)
    _ends(field, effect, lacking)


def a_leader_stopped_before_a_send(field: Field, lacking: Lacking = ()) -> None:
    """It wakes when the ledger has just let the send out; only its own clock says that this was long ago."""
    _stopped_before_a_send(field, "after_word", lacking, lacking)


def a_leader_frozen_before_a_send(field: Field, lacking: Lacking = ()) -> None:
    """It wakes between its stamp and the socket, and its clock stood still with it; only the ledger knows better."""
    _stopped_before_a_send(field, "before_guard", (*lacking, "deadline_ignored"), lacking)


def _stopped_before_a_send(field: Field, place: str, all_lacking: Lacking, lacking: Lacking) -> None:
    field.tokens.lay(place, Do.STOP)
    _both(field, all_lacking)
    effect = ask(field, open_invoices(field)[0])
    _taken(field, place)
    eventually(lambda: newest_member(field) == "b", PATIENCE, "b to lead")
    field.send("a", signal.SIGCONT)
    if lacking:
        within(LACKING_PATIENCE, lambda: _sent_by(field, 1))
    _ends(field, effect, lacking)


def an_operation_that_tries_again_by_itself(field: Field, lacking: Lacking = ()) -> None:
    """Somebody's own operation sends twice where there is no answer; one stamp is one request all the same."""
    leading(field, "a", (*lacking, "impatient"))
    field.orders.faults({"kind": "drop", "method": "POST", "count": 1})
    _ends(field, order(field, "order_once", f"impatient {field.cluster}"), lacking)


def _sent_by(field: Field, term: int) -> bool:
    return any(entry.what is What.SEND and entry.term == term for entry in field.history.entries())


def a_leader_deposed_before_a_send(field: Field, lacking: Lacking = ()) -> None:
    """Somebody deletes its place in line: its term is over long before its time, and nothing else would stop it."""
    field.begin(field.cluster, timedelta(seconds=4))
    field.tokens.lay("before_guard", Do.HOLD)
    _both(field, lacking)
    effect = ask(field, open_invoices(field)[0])
    _taken(field, "before_guard")
    depose(field)
    eventually(lambda: newest_member(field) == "b", PATIENCE, "b to lead")
    field.tokens.release()
    if lacking:
        within(LACKING_PATIENCE, lambda: _sent_by(field, 1))
    _ends(field, effect, lacking)


def a_no_that_belongs_to_another_send(field: Field, lacking: Lacking = ()) -> None:
    """The first send acts and is not answered, look-ups lag, and the second is told that the card was declined."""
    field.stripe.change(read_lag_ms=5000)
    declined = {"kind": "error", "status": 402, "error_type": "card_error", "error_code": "card_declined"}
    field.stripe.faults({**LOST, "path": PAY}, {**declined, "path": PAY, "skip": 1, "count": 1})
    leading(field, "a", lacking)
    _ends(field, ask(field, open_invoices(field)[0]), lacking)


def a_leader_killed_at_work(field: Field, lacking: Lacking = ()) -> None:
    """Its job is picked up again at once, as if the attempt had never been."""
    field.tokens.lay("after_send", Do.KILL)
    _both(field, lacking)
    first, second = open_invoices(field)[:2]
    effect = ask(field, first)
    _taken(field, "after_send")
    other = ask(field, second)
    _ends(field, other, ())
    _ends(field, effect, lacking)
