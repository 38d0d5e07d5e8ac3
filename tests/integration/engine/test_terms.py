"""How a term begins and every way in which it ends."""

from __future__ import annotations

import threading
from datetime import timedelta

from leaderjobs import clock
from leaderjobs.coordination.paths import Paths
from leaderjobs.model.event import EventKind
from leaderjobs.model.job import JobState
from tests.integration.engine.scripted import CLUSTER, Bench, Script, bench
from tests.support import eventually, free_port


def gated(surroundings: Bench, pages: int) -> threading.Semaphore:
    """Let so many pages through; more when the test says so."""
    gate = threading.Semaphore(pages)
    surroundings.script = Script(gate=gate, pages=5)
    return gate


def test_a_lost_session_ends_the_term_and_the_member_leads_again_with_a_new_number(
    surroundings: Bench,
) -> None:
    gate = gated(surroundings, 2)
    member = surroundings.start("a")
    job = surroundings.enqueue()
    eventually(lambda: surroundings.sequences().get("first") == 2, what="two pages")
    surroundings.server.expire(member.coordinator)
    eventually(lambda: surroundings.term() == 2, what="the second term")
    gate.release(100)
    done = surroundings.ended(job)
    assert (done.state, done.attempt, done.term) == (JobState.COMPLETED, 1, 2)
    assert "lost" in str(member.saw(EventKind.TERM_ENDED)[0].facts["why"])


def test_a_leader_that_hears_nothing_stops_by_its_own_clock(database_url: str) -> None:
    with bench(database_url, timedelta(seconds=1.5)) as surroundings:
        gate = gated(surroundings, 2)
        member = surroundings.start("a")
        job = surroundings.enqueue()
        eventually(lambda: surroundings.sequences().get("first") == 2, what="two pages")
        surroundings.server.suspend(member.coordinator)
        cut_at = clock.elapsed()
        ended = eventually(lambda: member.saw(EventKind.TERM_ENDED), 5, "the term to end")
        assert clock.elapsed() - cut_at < 1.5
        assert "deadline" in str(ended[0].facts["why"])
        gate.release(100)
        assert surroundings.sequences() == {"first": 2}
        surroundings.server.resume(member.coordinator)
        assert surroundings.ended(job).attempt == 1
        assert surroundings.term() == 2


def test_an_operator_who_deletes_the_leader_node_ends_the_term(surroundings: Bench) -> None:
    member = surroundings.start("a")
    eventually(lambda: surroundings.term() == 1, what="the first term")
    surroundings.server.remove(Paths("", CLUSTER).leader(0))
    eventually(lambda: len(member.saw(EventKind.TERM_BEGAN)) == 2, what="the second term")
    assert surroundings.term() == 2


def test_a_heartbeat_whose_answer_is_lost_costs_nothing(surroundings: Bench) -> None:
    gate = gated(surroundings, 2)
    member = surroundings.start("a")
    job = surroundings.enqueue()
    eventually(lambda: surroundings.sequences().get("first") == 2, what="two pages")
    surroundings.server.lose_answers(member.coordinator, 1)
    gate.release(100)
    done = surroundings.ended(job)
    assert (done.state, done.term) == (JobState.COMPLETED, 1)


def test_a_leader_that_cannot_begin_resigns_and_lets_another_lead(surroundings: Bench) -> None:
    nowhere = f"postgresql://x@127.0.0.1:{free_port()}/x"
    broken = surroundings.start("a", url=nowhere)
    eventually(lambda: broken.saw(EventKind.TERM_REFUSED), what="the refusal")
    fine = surroundings.start("b")
    eventually(lambda: fine.saw(EventKind.TERM_BEGAN), 60, what="the other member to lead")
    assert surroundings.ended(surroundings.enqueue()).state is JobState.COMPLETED


def test_another_origin_is_refused_until_it_is_adopted(surroundings: Bench) -> None:
    first = surroundings.start("a")
    eventually(lambda: first.saw(EventKind.TERM_BEGAN), what="the first term")
    first.stop()
    surroundings.server.wipe()
    member = surroundings.start("b")
    refused = eventually(lambda: member.saw(EventKind.TERM_REFUSED), what="the refusal")
    assert "adopt-coordinator" in str(refused[0].facts["error"])
    assert surroundings.term() == 1
    surroundings.stores.terms.adopt(member.coordinator.origin())
    eventually(lambda: member.saw(EventKind.TERM_BEGAN), 60, "the term after the adoption")
    assert surroundings.term() == 3


def test_a_replica_ahead_of_the_database_is_told_by_the_next_leader(surroundings: Bench) -> None:
    member = surroundings.start("a")
    surroundings.ended(surroundings.enqueue())
    eventually(lambda: member.worker.replica.position().position == 6, what="the replica to be level")
    with surroundings.stores.database.session() as connection:
        connection.execute(
            "UPDATE leaderjobs.markers SET sequence = 1, cursor = '{\"page\": 1}' WHERE stream = 'first'"
        )
    surroundings.server.expire(member.coordinator)
    told = eventually(lambda: member.saw(EventKind.REPLICA_AHEAD), what="the loss to be told")
    assert (told[0].facts["replica"], told[0].facts["database"]) == (3, 1)
    eventually(lambda: (leader := member.coordinator.leader(0)) and leader.notes, what="the note for people")
    assert surroundings.ended(surroundings.enqueue()).state is JobState.COMPLETED
    assert surroundings.sequences()["first"] == 3, "it was not pulled again from the database's cursor"


def test_followers_see_every_committed_batch(surroundings: Bench) -> None:
    surroundings.start("a")
    follower = surroundings.start("b")
    surroundings.ended(surroundings.enqueue())
    eventually(lambda: follower.worker.replica.position().position == 6, what="the follower to be level")
    eventually(
        lambda: all(member.replica.position == 6 for member in follower.coordinator.members()),
        what="both to acknowledge",
    )


def test_no_socket_of_a_term_outlives_it(surroundings: Bench) -> None:
    """A backend of a term that is over would hold locks that nobody releases."""
    member = surroundings.start("a")
    surroundings.ended(surroundings.enqueue())
    member.stop()
    query = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name LIKE 'leaderjobs-term:%%' OR application_name = 'a'"
    eventually(
        lambda: surroundings.stores.database.rows(query)[0]["n"] == 0, what="the connections to be closed"
    )
