"""Pages land with their marker and their job's progress, or not at all; nothing is dropped or rounded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from leaderjobs.errors import Interrupted, LeaderJobsError, Refused, StoreError, StoreUnavailable
from leaderjobs.model.batch import Landing
from leaderjobs.model.job import GiveBack, Hold, Progress, Retry
from tests.integration.store.rig import Admin, Cluster, label_of, live, page, raw_page
from tests.support import eventually

STAGE, APPLY, RESTART, REPLACE = Landing.STAGE, Landing.APPLY, Landing.RESTART, Landing.REPLACE


def test_rows_marker_and_progress_are_stored_together(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)

    first = cluster.commit(led, job, page({"id": "a"}, {"id": "b"}, cursor={"next": "n1"}), None)
    second = cluster.commit(led, job, page({"id": "c"}, cursor={"next": "n2"}), first)

    assert (first.sequence, first.rows, first.cursor, first.term) == (1, 2, {"next": "n1"}, led.term.number)
    assert (second.sequence, second.rows) == (2, 3)
    assert cluster.markers.load("household", "things") == second
    assert cluster.markers.all() == [second]
    assert cluster.markers.position() == 2
    assert cluster.jobs.get(job.id).progress == Progress("things", 2, 3, 3)
    assert live(admin) == {"a", "b", "c"}
    assert second.committed_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("sequence", ["none", "older"])
def test_page_from_a_stale_marker_is_refused_and_writes_nothing(
    cluster: Cluster, admin: Admin, sequence: str
) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    first = cluster.commit(led, job, page({"id": "a"}), None)
    second = cluster.commit(led, job, page({"id": "b"}), first)

    with pytest.raises(Refused, match="household/things"):
        cluster.commit(led, job, page({"id": "late"}), None if sequence == "none" else first)

    assert cluster.markers.load("household", "things") == second
    assert live(admin) == {"a", "b"}
    assert cluster.jobs.get(job.id).progress.pages == 2


def test_marker_that_is_not_there_is_refused(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    marker = cluster.commit(led, job, page({"id": "a"}), None)
    admin.execute("DELETE FROM leaderjobs.markers")

    with pytest.raises(Refused):
        cluster.commit(led, job, page({"id": "b"}), marker)


def test_page_of_a_job_that_is_no_longer_ours_is_not_stored(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    cluster.finish(led, job, GiveBack())

    with pytest.raises(Interrupted):
        cluster.commit(led, job, page({"id": "a"}), None)

    assert live(admin) == set()
    assert cluster.markers.all() == []


def test_page_of_an_earlier_attempt_is_not_stored(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    first = cluster.start(led)
    cluster.finish(led, first, Retry(timedelta(0), "once"))
    (second,) = cluster.claim(led)

    with pytest.raises(Interrupted, match=f"job {first.id} is no longer run by attempt 1"):
        cluster.commit(led, first, page({"id": "a"}), None)

    assert live(admin) == set()
    assert cluster.jobs.get(second.id).progress.pages == 0


def test_replace_tombstones_what_the_page_does_not_hold(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    first = cluster.commit(led, job, page({"id": "a"}, {"id": "b"}, landing=REPLACE), None)

    second = cluster.commit(led, job, page({"id": "b"}, {"id": "c"}, landing=REPLACE), first)

    assert live(admin) == {"b", "c"}
    cluster.commit(led, job, page(landing=REPLACE), second)
    assert live(admin) == set()


def test_replace_leaves_other_connections_alone(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    cluster.commit(led, cluster.start(led, "one"), page({"id": "a"}), None)

    cluster.commit(led, cluster.start(led, "two"), page({"id": "b"}, landing=REPLACE), None)

    assert live(admin) == {"a", "b"}


def test_staged_pages_are_invisible_until_applied_and_then_land_in_order(
    cluster: Cluster, admin: Admin
) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    one = cluster.commit(led, job, page({"id": "a", "label": "old"}, {"id": "b"}, landing=STAGE), None)
    two = cluster.commit(led, job, page({"id": "a", "label": "new"}, landing=STAGE), one)
    assert live(admin) == set()

    three = cluster.commit(led, job, page({"id": "c"}, gone=("b",), landing=APPLY), two)

    assert live(admin) == {"a", "c"}
    assert label_of(admin, "a") == "new"
    assert (three.sequence, three.rows) == (3, 5)
    assert admin.execute("SELECT count(*) FROM leaderjobs.stages").fetchone() == (0,)


def test_staged_pages_of_one_term_are_applied_by_the_next(cluster: Cluster, admin: Admin) -> None:
    old = cluster.lead()
    job = cluster.start(old)
    cluster.commit(old, job, page({"id": "a"}, landing=STAGE), None)
    new = cluster.lead()
    assert cluster.jobs.rescue(new.connections, new.term) == 1
    (again,) = cluster.claim(new)

    marker = cluster.commit(
        new, again, page({"id": "b"}, landing=APPLY), cluster.markers.load("household", "things")
    )

    assert live(admin) == {"a", "b"}
    assert (marker.sequence, marker.term) == (2, new.term.number)


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        pytest.param([page(gone=("p",)), page({"id": "q"})], {"q"}, id="pending-then-posted"),
        pytest.param([page({"id": "q"}), page(gone=("p",))], {"q"}, id="posted-then-pending"),
        pytest.param([page(gone=("p",)), page({"id": "p"})], {"p"}, id="removed-then-added"),
        pytest.param([page({"id": "p"}), page(gone=("p",))], set(), id="added-then-removed"),
        pytest.param([page({"id": "p"}, gone=("p",))], set(), id="deletion-wins-within-a-page"),
    ],
)
@pytest.mark.parametrize("staged", [True, False])
def test_order_of_pages_decides_between_a_row_and_its_deletion(
    cluster: Cluster, admin: Admin, pages: list[object], expected: set[str], staged: object
) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    marker = cluster.commit(led, job, page({"id": "p"}), None)

    for number, each in enumerate(pages):
        landing = (APPLY if number == len(pages) - 1 else STAGE) if staged else Landing.UPSERT
        marker = cluster.commit(led, job, raw_page(each.body, landing=landing), marker)  # type: ignore[attr-defined]

    assert live(admin) == expected


@pytest.mark.parametrize("ends_live", [True, False])
def test_staged_pages_land_in_the_order_of_their_commits(
    cluster: Cluster, admin: Admin, ends_live: object
) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    marker = None
    for number in range(11):
        adds = (number % 2 == 0) == bool(ends_live)
        batch = (
            page({"id": "p", "label": str(number)}, landing=STAGE)
            if adds
            else page(gone=("p",), landing=STAGE)
        )
        marker = cluster.commit(led, job, batch, marker)

    cluster.commit(led, job, page(landing=APPLY), marker)

    assert live(admin) == ({"p"} if ends_live else set())
    assert label_of(admin, "p") == ("10" if ends_live else "9")


def test_restart_drops_staged_pages_and_touches_no_row(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    marker = cluster.commit(led, job, page({"id": "aborted"}, landing=STAGE), None)

    marker = cluster.commit(led, job, page(landing=RESTART, cursor={"next": "first"}), marker)
    marker = cluster.commit(led, job, page({"id": "a"}, landing=APPLY), marker)

    assert live(admin) == {"a"}
    assert marker.sequence == 3


def test_apply_that_is_killed_in_the_middle_leaves_nothing_visible(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    marker = cluster.commit(led, job, page({"id": "a"}, landing=STAGE), None)
    outcome: list[LeaderJobsError] = []

    def apply() -> None:
        try:
            cluster.commit(led, job, page({"id": "z"}, landing=APPLY), marker)
        except LeaderJobsError as error:
            outcome.append(error)

    thread = threading.Thread(target=apply)
    with admin.transaction():
        # A row of the last page is locked, so the apply stands still after the staged page has landed.
        admin.execute("INSERT INTO shop.things VALUES ('acme', 'household', 'z', '{}', 0, NULL, now())")
        thread.start()
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'leaderjobs-term:%' "
            "AND wait_event_type = 'Lock'"
        )
        (row,) = eventually(lambda: cluster.database.rows(waiting))
        admin.execute("SELECT pg_terminate_backend(%s)", (row["pid"],))
        thread.join(10)
        admin.execute("DELETE FROM shop.things")

    assert isinstance(outcome[0], StoreUnavailable)
    assert live(admin) == set()
    assert cluster.markers.load("household", "things") == marker
    cluster.commit(led, job, page({"id": "z"}, landing=APPLY), marker)
    assert live(admin) == {"a", "z"}


def test_later_row_wins_within_a_page(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()

    cluster.commit(
        led, cluster.start(led), page(*({"id": "a", "label": str(number)} for number in range(40))), None
    )

    assert label_of(admin, "a") == "39"


def test_older_order_never_overwrites_a_newer_row(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    marker = cluster.commit(led, job, page({"id": "a", "label": "newer"}), None)
    admin.execute("UPDATE shop.things SET ord = 99")

    cluster.commit(led, job, page({"id": "a", "label": "older"}, gone=("a",)), marker)

    assert label_of(admin, "a") == "newer"
    assert live(admin) == {"a"}


def test_unchanged_row_is_not_written_again(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    marker = cluster.commit(led, job, page({"id": "a"}), None)
    before = admin.execute("SELECT ctid::text, synced_at FROM shop.things").fetchone()

    cluster.commit(led, job, page({"id": "a"}), marker)

    assert admin.execute("SELECT ctid::text, synced_at FROM shop.things").fetchone() == before


def test_ids_are_case_sensitive_and_numbers_may_be_ids(cluster: Cluster, admin: Admin) -> None:
    led = cluster.lead()

    cluster.commit(
        led, cluster.start(led), page({"id": "aB"}, {"id": "Ab"}, {"id": 12345678901234567890}), None
    )

    assert live(admin) == {"aB", "Ab", "12345678901234567890"}


def test_cursor_comes_back_exactly(cluster: Cluster) -> None:
    led = cluster.lead()
    cursor = {"next": "\0 \ud83d ä", "count": 12345678901234567890, "nested": {"z": [1, None, True], "a": ""}}

    cluster.commit(led, cluster.start(led), page({"id": "a"}, cursor=cursor), None)

    stored = cluster.markers.load("household", "things")
    assert stored is not None
    assert stored.cursor == cursor


def test_cursor_too_large_is_refused(cluster: Cluster) -> None:
    led = cluster.lead()

    with pytest.raises(StoreError, match="cursor of things"):
        cluster.commit(led, cluster.start(led), page(cursor={"next": "x" * 70_000}), None)


def test_committed_page_ends_a_hold(cluster: Cluster) -> None:
    led = cluster.lead()
    job = cluster.start(led)
    cluster.finish(led, job, Hold(timedelta(0), "LOGIN", "sign in"))
    assert [hold.code for hold in cluster.holds.all()] == ["LOGIN"]

    (probe,) = cluster.claim(led)
    cluster.commit(led, probe, page({"id": "a"}), None)

    assert cluster.holds.all() == []


def test_two_clusters_share_a_table_and_touch_nothing_of_each_other(
    make_cluster: Callable[[str], Cluster], admin: Admin
) -> None:
    one, two = make_cluster("one"), make_cluster("two")
    led_one, led_two = one.lead(), two.lead()
    job_one, job_two = one.start(led_one), two.start(led_two)
    marker = one.commit(led_one, job_one, page({"id": "a", "label": "one"}), None)
    one.commit(led_one, job_one, page({"id": "s"}, landing=STAGE), marker)

    marker = two.commit(led_two, job_two, page({"id": "a", "label": "two"}), None)
    marker = two.commit(led_two, job_two, page(landing=RESTART), marker)
    two.commit(led_two, job_two, page(landing=REPLACE), marker)

    stored = admin.execute("SELECT cluster, label, deleted_at IS NULL FROM shop.things ORDER BY 1").fetchall()
    assert stored == [("one", "one", True), ("two", "two", False)]
    assert admin.execute("SELECT cluster FROM leaderjobs.stages").fetchall() == [("one",)]
    assert (one.markers.position(), two.markers.position()) == (2, 3)
    two.lead()
    assert [job.id for job in one.jobs.running()] == [job_one.id]
    one.commit(led_one, job_one, page({"id": "b"}), one.markers.load("household", "things"))
