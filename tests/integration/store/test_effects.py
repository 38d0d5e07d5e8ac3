"""The ledger: once per business key, a stamp only under the fence, evidence from anybody, decisions on what is known."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from leaderjobs.errors import FencedOut, Refused, UsageError
from leaderjobs.model.effect import Effect, EffectState, Told, Verdict
from leaderjobs.model.job import JobState, Uncertain
from leaderjobs.model.settle import Basis, Settle
from leaderjobs.store.effects import Effects
from leaderjobs.store.pool import Database
from tests.integration.store.rig import Admin, Cluster

HOUR = timedelta(hours=1)
DONE = Verdict(Told.DONE, "paid", "paid", "pi_1", {"amount": 1200}, 200, request_id="req_1")


def settle(cluster: Cluster, effect: Effect, state: EffectState) -> bool:
    led = cluster.lead()
    end = Settle(state, "code", "reason", "pi_1", {"amount": 1200})
    return cluster.effects.settle(led.connections, led.term, effect, end, looked=True)


def stamped(cluster: Cluster) -> tuple[Effect, uuid.UUID]:
    """An effect whose one send has no evidence yet."""
    led, effect = cluster.lead(), cluster.plan()
    return effect, cluster.stamp(led, effect).id


# -- planning ----------------------------------------------------------------------------------------------


def test_an_effect_and_its_job_are_planned_together(cluster: Cluster) -> None:
    new = cluster.wish(amount=1200)
    effect, job_id, created = cluster.effects.plan(new, priority=1, delay=HOUR)

    assert created
    assert (effect.state, effect.version, effect.sends) == (EffectState.PLANNED, 0, ())
    assert (effect.request, effect.arguments) == (new.request, {"amount": 1200})
    job = cluster.jobs.get(job_id)
    assert (job.effect, job.target, job.state, job.priority) == (
        effect.id,
        "billing.pay",
        JobState.SCHEDULED,
        1,
    )


def test_asking_twice_gives_the_same_effect(cluster: Cluster) -> None:
    first = cluster.effects.plan(cluster.wish(amount=1200))
    again = cluster.effects.plan(cluster.wish(amount=1200))

    assert (again[0].id, again[1], again[2]) == (first[0].id, first[1], False)


def test_asking_with_another_amount_is_refused_with_both(cluster: Cluster) -> None:
    cluster.plan(amount=1200)

    with pytest.raises(Refused, match=r"amount=1200 then and 1300 now"):
        cluster.plan(amount=1300)
    with pytest.raises(Refused, match=r"amount=1200 then and not given now"):
        cluster.plan()


def test_racing_wishes_for_one_thing_make_one_effect_and_one_job(cluster: Cluster, admin: Admin) -> None:
    made: list[bool] = []

    effect_id = cluster.effects.identify("billing", "pay", "invoice:in_1:pay")

    def ask() -> None:
        wish = dataclasses.replace(cluster.wish(amount=1200), id=effect_id, idempotency_key=f"lj-{effect_id}")
        made.append(cluster.effects.plan(wish)[2])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == [False] * 7 + [True]
    assert admin.execute("SELECT count(*) FROM leaderjobs.jobs").fetchone() == (1,)


def test_an_effect_has_the_same_id_whenever_it_is_asked_for_and_another_in_another_cluster(
    cluster: Cluster, make_cluster: Callable[[str], Cluster], database: Database
) -> None:
    wish = ("billing", "pay", "invoice:in_1:pay")
    first = cluster.effects.identify(*wish)

    assert Effects(database, cluster.name).identify(*wish) == first
    others = {
        make_cluster("other").effects.identify(*wish),
        cluster.effects.identify("billing", "pay", "invoice:in_2:pay"),
        cluster.effects.identify("billing", "refund", "invoice:in_1:pay"),
    }
    assert len(others | {first}) == 4


def test_clusters_connections_and_keys_are_kept_apart(
    cluster: Cluster, make_cluster: Callable[[str], Cluster]
) -> None:
    other = make_cluster("other")
    ids = {
        each.id
        for each in (
            cluster.plan(),
            other.plan(),
            cluster.plan(connection="b"),
            cluster.plan("invoice:in_2:pay"),
        )
    }

    assert len(ids) == 4
    with pytest.raises(Refused):
        other.effects.get(cluster.plan().id)


def test_an_effect_is_found_by_the_beginning_of_its_id(cluster: Cluster) -> None:
    effect = cluster.plan()

    assert cluster.effects.find(str(effect.id)[:8]) == effect
    for prefix in ("", "zzz", "%"):
        with pytest.raises(UsageError, match="effects list"):
            cluster.effects.find(prefix)


# -- stamps ------------------------------------------------------------------------------------------------


def test_a_stamp_says_who_sends_when_and_why(cluster: Cluster) -> None:
    led, effect = cluster.lead(), cluster.plan()
    stamp = cluster.stamp(led, effect)

    now = cluster.effects.get(effect.id)
    (send,) = now.sends
    assert (now.state, now.version, now.first_sent_at) == (EffectState.SENDING, 1, stamp.sent_at)
    assert (send.n, send.term, send.member, send.basis) == (1, led.term.number, led.term.member, "first")
    assert (send.told, send.verdict) == (Told.UNKNOWN, None)


def test_an_older_term_stamps_nothing(cluster: Cluster) -> None:
    old, effect = cluster.lead(), cluster.plan()
    cluster.lead()

    with pytest.raises(FencedOut):
        cluster.stamp(old, effect)
    assert cluster.effects.get(effect.id).sends == ()


def test_a_stamp_on_what_is_no_longer_so_is_refused(cluster: Cluster) -> None:
    led, effect = cluster.lead(), cluster.plan()
    cluster.stamp(led, effect)

    with pytest.raises(Refused, match="moved on"):
        cluster.stamp(led, effect)
    assert len(cluster.effects.get(effect.id).sends) == 1


@pytest.mark.parametrize("state", [EffectState.SUCCEEDED, EffectState.FAILED, EffectState.CANCELLED])
def test_an_effect_that_has_ended_is_not_stamped(cluster: Cluster, admin: Admin, state: EffectState) -> None:
    led, effect = cluster.lead(), cluster.plan()
    admin.execute("UPDATE leaderjobs.effects SET state = %s", (state.value,))

    with pytest.raises(Refused):
        cluster.stamp(led, effect)


def test_the_window_is_looked_at_once_more_when_the_stamp_is_written(cluster: Cluster, admin: Admin) -> None:
    effect, _ = stamped(cluster)
    led, effect = cluster.lead(), cluster.effects.get(effect.id)
    admin.execute("UPDATE leaderjobs.effect_sends SET sent_at = now() - interval '23 hours 1 second'")

    for window in (timedelta(hours=23), None):
        with pytest.raises(Refused, match="window"):
            cluster.stamp(led, effect, Basis.KEY, window)
    assert cluster.stamp(led, effect, Basis.KEY, timedelta(hours=24)).n == 2


def test_an_uncertain_effect_is_stamped_only_for_what_evidence_allows(cluster: Cluster) -> None:
    effect, stamp = stamped(cluster)
    assert settle(cluster, cluster.effects.get(effect.id), EffectState.UNCERTAIN)
    led = cluster.lead()
    with pytest.raises(Refused):
        cluster.stamp(led, cluster.effects.get(effect.id), Basis.KEY, timedelta(hours=24))
    cluster.effects.record(effect, stamp, Verdict(Told.NOT_SENT))

    assert cluster.stamp(led, cluster.effects.get(effect.id), Basis.NEVER_ACTED).n == 2
    assert cluster.effects.get(effect.id).state is EffectState.SENDING


# -- evidence ----------------------------------------------------------------------------------------------


def test_evidence_is_kept_whole_and_the_first_one_stays(cluster: Cluster) -> None:
    effect, stamp = stamped(cluster)

    assert cluster.effects.record(effect, stamp, DONE)
    assert not cluster.effects.record(effect, stamp, Verdict(Told.DECLINED))

    (send,) = cluster.effects.get(effect.id).sends
    assert send.verdict == DONE
    assert send.ended_at is not None
    assert send.ended_at >= send.sent_at


def test_evidence_needs_no_term(cluster: Cluster) -> None:
    effect, stamp = stamped(cluster)
    cluster.lead()  # somebody else leads by now

    assert cluster.effects.record(effect, stamp, DONE)


def test_evidence_of_a_stamp_that_was_never_written_changes_nothing(cluster: Cluster) -> None:
    effect = cluster.plan()

    assert not cluster.effects.record(effect, uuid.uuid4(), DONE)
    assert cluster.effects.get(effect.id) == effect


def test_evidence_wakes_the_job_that_waits(cluster: Cluster) -> None:
    effect, stamp = stamped(cluster)
    led = cluster.lead()
    (job,) = cluster.claim(led)
    assert cluster.finish(led, job, Uncertain(HOUR, "why")) is JobState.UNCERTAIN
    assert cluster.claim(led) == []

    cluster.effects.record(effect, stamp, DONE)

    assert [each.id for each in cluster.claim(led)] == [job.id]


def test_evidence_against_the_end_is_kept_and_said(cluster: Cluster) -> None:
    effect, stamp = stamped(cluster)
    assert settle(cluster, cluster.effects.get(effect.id), EffectState.UNCERTAIN)
    uncertain = cluster.effects.get(effect.id)
    cluster.effects.resolve(uncertain, EffectState.FAILED, "ann@host", "not there", force=True)
    assert cluster.effects.counts() == (0, 0)

    cluster.effects.record(effect, stamp, DONE)

    now = cluster.effects.get(effect.id)
    assert (now.state, now.contradiction) == (
        EffectState.FAILED,
        "send 1 came back later and says: done paid",
    )
    assert cluster.effects.counts() == (0, 1)
    assert [each.id for each in cluster.effects.newest(contradicted=True)] == [effect.id]


def test_what_a_provider_says_never_fails_to_be_stored(cluster: Cluster) -> None:
    effect, stamp = stamped(cluster)
    odd = Verdict(Told.UNKNOWN, "a\0b", "x" * 5000, "\ud800", {"a\0": "\ud800\0", "many": "y" * 9000})

    assert cluster.effects.record(effect, stamp, odd)


# -- settling ----------------------------------------------------------------------------------------------


def test_a_decision_is_refused_when_evidence_came_meanwhile(cluster: Cluster) -> None:
    effect, stamp = stamped(cluster)
    seen = cluster.effects.get(effect.id)
    cluster.effects.record(effect, stamp, DONE)

    assert not settle(cluster, seen, EffectState.UNCERTAIN)
    assert settle(cluster, cluster.effects.get(effect.id), EffectState.SUCCEEDED)
    now = cluster.effects.get(effect.id)
    assert (now.state, now.remote_id, now.facts) == (EffectState.SUCCEEDED, "pi_1", {"amount": 1200})
    assert now.settled_at is not None


def test_an_older_term_settles_nothing(cluster: Cluster) -> None:
    old, effect = cluster.lead(), cluster.plan()
    cluster.lead()

    with pytest.raises(FencedOut):
        cluster.effects.settle(
            old.connections, old.term, effect, Settle(EffectState.FAILED, "", ""), looked=False
        )


@pytest.mark.parametrize("state", [EffectState.SUCCEEDED, EffectState.FAILED])
def test_a_person_settles_what_is_uncertain_and_nothing_else(cluster: Cluster, state: EffectState) -> None:
    effect, _ = stamped(cluster)
    with pytest.raises(Refused, match="is sending; only an effect that is uncertain can become"):
        cluster.effects.resolve(cluster.effects.get(effect.id), state, "ann@host", "why")
    assert settle(cluster, cluster.effects.get(effect.id), EffectState.UNCERTAIN)
    assert cluster.effects.counts() == (1, 0)

    uncertain = cluster.effects.get(effect.id)
    now = cluster.effects.resolve(uncertain, state, "ann@host", "asked them", force=True)

    assert (now.state, now.resolved_by, now.note) == (state, "ann@host", "asked them")
    assert cluster.effects.counts() == (0, 0)


def test_what_may_still_arrive_is_called_failed_only_by_force(cluster: Cluster, admin: Admin) -> None:
    effect, _ = stamped(cluster)
    assert settle(cluster, cluster.effects.get(effect.id), EffectState.UNCERTAIN)
    with pytest.raises(Refused, match=r"may still reach the provider until .*--force"):
        cluster.effects.resolve(cluster.effects.get(effect.id), EffectState.FAILED, "ann", "not there")

    admin.execute("UPDATE leaderjobs.effect_sends SET sent_at = now() - interval '61 minutes'")

    now = cluster.effects.resolve(cluster.effects.get(effect.id), EffectState.FAILED, "ann", "not there")
    assert now.state is EffectState.FAILED


def test_evidence_that_came_since_a_person_looked_stops_them(cluster: Cluster) -> None:
    effect, stamp = stamped(cluster)
    assert settle(cluster, cluster.effects.get(effect.id), EffectState.UNCERTAIN)
    looked_at = cluster.effects.get(effect.id)
    cluster.effects.record(effect, stamp, DONE)

    with pytest.raises(Refused, match=r"evidence on effect .* has just come in"):
        cluster.effects.resolve(looked_at, EffectState.FAILED, "ann", "not there", force=True)
    with pytest.raises(Refused, match="has not failed: send 1 came back"):
        cluster.effects.resolve(cluster.effects.get(effect.id), EffectState.FAILED, "ann", "x", force=True)
    assert cluster.effects.get(effect.id).state is EffectState.UNCERTAIN


def test_a_stamp_lets_a_send_out_while_it_is_fresh_and_its_term_leads(cluster: Cluster, admin: Admin) -> None:
    led, effect = cluster.lead(), cluster.plan()
    stamp = cluster.stamp(led, effect)
    assert cluster.effects.may_leave(led.term, stamp)

    admin.execute("UPDATE leaderjobs.effect_sends SET sent_at = now() - interval '61 seconds'")
    assert not cluster.effects.may_leave(led.term, stamp)
    admin.execute("UPDATE leaderjobs.effect_sends SET sent_at = now()")
    assert cluster.effects.may_leave(led.term, stamp)
    cluster.lead()
    assert not cluster.effects.may_leave(led.term, stamp)


def test_only_what_was_never_stamped_can_be_taken_back(cluster: Cluster) -> None:
    cancelled, (sent, _) = cluster.plan("invoice:in_2:pay"), stamped(cluster)

    assert cluster.effects.resolve(cancelled, EffectState.CANCELLED, "a", "").state is EffectState.CANCELLED
    with pytest.raises(Refused, match="is sending; only an effect that is planned"):
        cluster.effects.resolve(cluster.effects.get(sent.id), EffectState.CANCELLED, "a", "")
