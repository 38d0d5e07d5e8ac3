"""Markers on their way from the leader's publisher to a follower's replica."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from leaderjobs import clock
from leaderjobs.engine import shards
from leaderjobs.engine.publisher import Publisher
from leaderjobs.engine.replica import Replica
from leaderjobs.model.marker import Marker
from leaderjobs.model.term import Term

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_term(number: int = 1, token: int = 10, origin: str = "o") -> Term:
    return Term(
        cluster="acme",
        partition=0,
        number=number,
        token=token,
        origin=origin,
        member="a",
        began_at=NOON,
        session_timeout=timedelta(seconds=15),
        elapsed=clock.elapsed,
        sent_at=clock.elapsed(),
    )


def a_marker(sequence: int, connection: str = "household", stream: str = "transactions") -> Marker:
    return Marker(
        connection, stream, sequence, sequence * 100, {"next": "c"}, NOON + timedelta(seconds=sequence), 1
    )


def deliver(publisher: Publisher, replica: Replica) -> dict[str, bytes]:
    taken = publisher.take()
    for name, data in taken.items():
        replica.apply(name, data)
    return taken


def test_a_committed_marker_reaches_the_replica() -> None:
    publisher, replica, term = Publisher(), Replica(None), a_term()
    publisher.begin(term, [a_marker(3)])
    publisher.put(term, a_marker(4))
    deliver(publisher, replica)
    assert replica.position().position == 4
    assert replica.position().committed_at == a_marker(4).committed_at
    assert not publisher.dirty


def test_a_heartbeat_that_failed_carries_its_markers_again() -> None:
    publisher, replica, term = Publisher(), Replica(None), a_term()
    publisher.begin(term, [])
    deliver(publisher, replica)
    publisher.put(term, a_marker(1))
    publisher.put_back(publisher.take())
    assert publisher.dirty
    deliver(publisher, replica)
    assert replica.position().position == 1


def test_only_the_shards_that_changed_travel() -> None:
    publisher, replica, term = Publisher(), Replica(None), a_term()
    publisher.begin(term, [])
    assert set(deliver(publisher, replica)) == set(shards.all_names())
    publisher.put(term, a_marker(1))
    assert set(deliver(publisher, replica)) == {shards.name_of("household", "transactions")}


def test_a_late_marker_of_an_older_term_is_not_published() -> None:
    publisher, old, new = Publisher(), a_term(1, 10), a_term(2, 11)
    publisher.begin(old, [])
    publisher.begin(new, [])
    publisher.take()
    publisher.put(old, a_marker(9))
    assert not publisher.dirty


def test_the_end_of_an_old_term_does_not_silence_the_new_one() -> None:
    publisher, old, new = Publisher(), a_term(1, 10), a_term(2, 11)
    publisher.begin(old, [])
    publisher.begin(new, [a_marker(1)])
    publisher.end(old)
    assert publisher.take()


def test_an_older_shard_does_not_overwrite_a_newer_one() -> None:
    replica = Replica(None)
    name = shards.name_of("household", "transactions")
    newer = shards.encode("o", 11, 2, 1, [shards.copy_of(a_marker(5))])
    older = shards.encode("o", 10, 1, 99, [shards.copy_of(a_marker(4))])
    assert replica.apply(name, newer)
    assert not replica.apply(name, older)
    assert replica.position().position == 5


def test_another_origin_replaces_what_was_there() -> None:
    replica = Replica(None)
    name = shards.name_of("household", "transactions")
    replica.apply(name, shards.encode("o", 11, 2, 5, [shards.copy_of(a_marker(5))]))
    assert replica.apply(name, shards.encode("p", 1, 3, 1, [shards.copy_of(a_marker(2))]))
    assert replica.position().position == 2


def test_bytes_that_are_no_shard_are_ignored() -> None:
    replica = Replica(None)
    for data in (b"", b"{", b"[]", b'{"term": "x"}', b"\xff"):
        assert not replica.apply("shard-0", data)


def test_a_shard_never_exceeds_its_bound_and_says_what_it_left_out() -> None:
    markers = [a_marker(number, "c" * 60, f"stream-{number}") for number in range(1, 2000)]
    data = shards.encode("o", 1, 1, 1, [shards.copy_of(marker) for marker in markers])
    assert len(data) <= shards.MOST_SHARD_BYTES
    shard = shards.decode(data)
    assert shard is not None
    assert shard.left_out == len(markers) - len(shard.markers) > 0
    assert shard.markers[0].sequence == 1999  # what moved last is what is kept


def test_a_replica_that_is_ahead_names_the_commits_that_the_database_lost() -> None:
    publisher, replica, term = Publisher(), Replica(None), a_term()
    publisher.begin(term, [a_marker(7), a_marker(2, stream="accounts")])
    deliver(publisher, replica)
    lost = replica.ahead_of([a_marker(5), a_marker(2, stream="accounts")])
    assert [(copy.stream, copy.sequence, stored) for copy, stored in lost] == [("transactions", 7, 5)]
    assert replica.ahead_of([a_marker(7), a_marker(3, stream="accounts")]) == []


def test_a_replica_survives_a_restart_on_its_own_disk(tmp_path: Path) -> None:
    publisher, replica, term = Publisher(), Replica(tmp_path / "replica.json"), a_term()
    publisher.begin(term, [a_marker(7)])
    deliver(publisher, replica)
    replica.save()
    again = Replica(tmp_path / "replica.json")
    assert again.position() == replica.position()
    assert again.discarded == ""


@given(st.binary(max_size=200))
def test_a_corrupt_replica_file_is_thrown_away_and_said(data: bytes) -> None:
    # Hypothesis runs the body many times; a fixture's directory would be shared.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "replica.json"
        path.write_bytes(b"#" + data)
        replica = Replica(path)
        assert replica.copies() == []
        assert "cannot be read" in replica.discarded
        assert not path.exists()
