"""Walks, scopes, order keys, keys of several members, resets, re-pulls, windows and quotas."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest

from leaderjobs import clock
from leaderjobs.errors import QuotaExhausted, Refused, StoreError
from leaderjobs.model.batch import Batch, Landing
from leaderjobs.model.job import Completed, Job, Retry, Window
from leaderjobs.model.marker import Marker
from leaderjobs.model.quota import Quota
from leaderjobs.model.stream import Stream
from tests.integration.store.rig import STREAM, Admin, Cluster, Led, label_of, live, page

WALK, SWEEP, STAGE, APPLY, REPLACE = (
    Landing.WALK,
    Landing.SWEEP,
    Landing.STAGE,
    Landing.APPLY,
    Landing.REPLACE,
)
DAY = "2026-11-24"
PAIRED = Stream("things", ("shop", "id"), STREAM.comment, STREAM.columns)


@dataclasses.dataclass
class Pull:
    """One job's pages, one after another."""

    cluster: Cluster
    led: Led
    job: Job
    marker: Marker | None = None
    stream: Stream = STREAM

    def next(self, **more: Any) -> Pull:
        """The same stream in the hands of another job, this one ended."""
        self.cluster.finish(self.led, self.job, Completed())
        return dataclasses.replace(self, job=self.cluster.start(self.led, **more))

    def take(self, batch: Batch, **changes: object) -> Marker:
        batch = dataclasses.replace(batch, **changes)  # type: ignore[arg-type]
        self.marker = self.cluster.commit(self.led, self.job, batch, self.marker, self.stream)
        return self.marker


@pytest.fixture
def pull(cluster: Cluster) -> Pull:
    led = cluster.lead()
    return Pull(cluster, led, cluster.start(led))


def gone(admin: Admin) -> set[str]:
    return {str(row[0]) for row in admin.execute("SELECT id FROM shop.things WHERE deleted_at IS NOT NULL")}


def empty(admin: Admin, table: str) -> bool:
    return admin.execute(f"SELECT count(*) FROM leaderjobs.{table}").fetchone() == (0,)


# -- walks -------------------------------------------------------------------------------------------------


def test_what_a_walk_has_not_met_is_deleted_when_it_ends(pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "a"}, {"id": "b"}, {"id": "c"}))
    pull.take(page({"id": "a"}, landing=WALK))
    assert live(admin) == {"a", "b", "c"}

    pull.take(page({"id": "d"}, landing=SWEEP))

    assert live(admin) == {"a", "d"}
    assert gone(admin) == {"b", "c"}
    assert empty(admin, "met")


def test_a_walk_goes_on_under_the_next_term(cluster: Cluster, pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "a"}, {"id": "b"}))
    pull.take(page({"id": "a"}, landing=WALK))
    led = cluster.lead()
    cluster.jobs.rescue(led.connections, led.term)
    (job,) = cluster.claim(led)

    Pull(cluster, led, job, pull.marker).take(page({"id": "c"}, landing=SWEEP))

    assert live(admin) == {"a", "c"}


def test_a_walk_that_is_given_up_is_forgotten(pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "a"}, {"id": "b"}))
    pull.take(page({"id": "b"}, landing=WALK))

    pull.take(page(landing=Landing.RESTART))
    pull.take(page({"id": "a"}, landing=SWEEP))

    assert live(admin) == {"a"}


def test_a_sweep_leaves_rows_that_are_newer_than_the_walk(pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "new"}), order=500)
    pull.take(page({"id": "old"}), order=100)

    pull.take(page({"id": "a"}, landing=SWEEP), order=300)

    assert live(admin) == {"new", "a"}


def test_two_walks_of_two_connections_do_not_mix(cluster: Cluster, pull: Pull, admin: Admin) -> None:
    other = Pull(cluster, pull.led, cluster.start(pull.led, "other"))
    pull.take(page({"id": "a"}, landing=WALK))
    other.take(page({"id": "b"}))

    other.take(page({"id": "c"}, landing=SWEEP))
    pull.take(page({"id": "d"}, landing=SWEEP))

    assert live(admin) == {"a", "c", "d"}


# -- scopes ------------------------------------------------------------------------------------------------


def test_a_scope_is_replaced_and_the_rest_stays(pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "a", "day": DAY}, {"id": "b", "day": DAY}, {"id": "c", "day": "2026-11-23"}))

    pull.take(page({"id": "b", "day": DAY}, landing=REPLACE), scope=("day", DAY))

    assert live(admin) == {"b", "c"}
    pull.take(page(landing=REPLACE), scope=("day", DAY))
    assert live(admin) == {"c"}


def test_a_scope_that_comes_in_staged_pages_is_replaced_at_once(pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "a", "day": DAY}, {"id": "b", "day": DAY}, {"id": "z", "day": "2026-11-23"}))
    pull.take(page({"id": "b", "day": DAY}, landing=STAGE), scope=("day", DAY))
    assert live(admin) == {"a", "b", "z"}

    pull.take(page({"id": "c", "day": DAY}, landing=APPLY), scope=("day", DAY))

    assert live(admin) == {"b", "c", "z"}
    assert empty(admin, "met")
    assert empty(admin, "stages")


# -- order keys and keys -----------------------------------------------------------------------------------


def test_an_older_version_never_takes_the_place_of_a_newer_one(pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "a", "label": "new"}), order=200)

    pull.take(page({"id": "a", "label": "old"}, gone=("a",)), order=100)

    assert label_of(admin, "a") == "new"
    assert live(admin) == {"a"}


def test_a_row_that_was_the_same_in_a_newer_version_is_not_taken_back_to_one_in_between(
    pull: Pull, admin: Admin
) -> None:
    pull.take(page({"id": "a", "label": "same"}), order=5)
    before = admin.execute("SELECT synced_at FROM shop.things").fetchone()
    pull.take(page({"id": "a", "label": "same"}), order=9)

    pull.take(page({"id": "a", "label": "between"}), order=7)

    assert label_of(admin, "a") == "same"
    assert admin.execute("SELECT synced_at FROM shop.things").fetchone() == before


def ordered(rows: list[tuple[object, int]], removed: list[tuple[str, int]] | None = None) -> Batch:
    removed = removed or []
    body = {
        "rows": [row for row, _ in rows],
        "rows_orders": [order for _, order in rows],
        "removed": [{"id": each} for each, _ in removed],
        "removed_orders": [order for _, order in removed],
    }
    made = page()
    return dataclasses.replace(made, body=json.dumps(body).encode(), ordered=True, rows=len(rows))


def test_every_row_of_a_page_can_bring_its_own_order_key(pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "a", "label": "snapshot"}, {"id": "b"}, {"id": "c"}), order=150)

    pull.take(
        ordered(
            [
                ({"id": "a", "label": "older"}, 140),
                ({"id": "d", "label": "2"}, 9),
                ({"id": "d", "label": "1"}, 8),
            ],
            [("b", 149), ("c", 151)],
        )
    )

    assert label_of(admin, "a") == "snapshot"
    assert label_of(admin, "d") == "2"
    assert live(admin) == {"a", "b", "d"}


def test_a_page_whose_row_has_no_order_key_is_refused(pull: Pull, admin: Admin) -> None:
    batch = ordered([({"id": "a"}, 1)])

    with pytest.raises(StoreError, match="order key"):
        pull.take(batch, body=batch.body.replace(b"[1]", b"[]"))

    assert live(admin) == set()


def test_a_key_of_several_members_is_told_apart_and_is_what_the_stream_says(pull: Pull, admin: Admin) -> None:
    pull.stream = PAIRED
    rows: list[dict[str, object]] = [
        {"shop": 'a"\u00e9\n', "id": 1},
        {"shop": "b", "id": 1},
        {"shop": "b", "id": "1"},
    ]

    pull.take(page(*rows, landing=WALK))
    assert live(admin) == {PAIRED.id_of(row) for row in rows}
    assert len(live(admin)) == 2

    body = json.dumps({"rows": [rows[0]], "removed": [{"shop": "b", "id": 1}]}).encode()
    pull.take(page(landing=REPLACE), body=body)
    assert live(admin) == {PAIRED.id_of(rows[0])}


def test_a_row_that_lacks_one_member_of_its_key_is_refused(pull: Pull, admin: Admin) -> None:
    pull.stream = PAIRED
    with pytest.raises(StoreError, match='its key "shop"'):
        pull.take(page({"id": 1}))


# -- resets, full pulls, windows ---------------------------------------------------------------------------


def test_a_reset_forgets_the_cursor_keeps_the_sequence_and_refuses_who_goes_on(
    cluster: Cluster, pull: Pull, admin: Admin
) -> None:
    before = pull.take(page({"id": "a"}))
    pull.take(page({"id": "b"}, landing=STAGE))

    assert cluster.markers.reset("household", "things")

    with pytest.raises(Refused):
        pull.take(page({"id": "c"}))
    found = cluster.markers.load("household", "things")
    assert found is not None
    assert (found.sequence, found.cursor, found.resets) == (before.sequence + 1, {}, 1)
    assert empty(admin, "stages")
    pull.marker = found
    assert pull.take(page({"id": "a", "label": "again"})).sequence == before.sequence + 2
    assert label_of(admin, "a") == "again"


def test_a_reset_of_what_was_never_pulled_says_so(cluster: Cluster) -> None:
    assert not cluster.markers.reset("household", "things")


def test_a_full_pull_forgets_a_stream_once_a_job(cluster: Cluster, pull: Pull, admin: Admin) -> None:
    pull.take(page({"id": "a"}))
    job = pull.next(full=True).job
    assert job.full
    cluster.batches.begin_full(pull.led.connections, pull.led.term, job, "things")
    marker = cluster.markers.load("household", "things")
    assert marker is not None
    assert marker.cursor == {}
    cluster.commit(pull.led, job, page({"id": "b"}), marker)
    cluster.finish(pull.led, job, Retry(timedelta(0), "once"))
    (again,) = cluster.claim(pull.led)

    cluster.batches.begin_full(pull.led.connections, pull.led.term, again, "things")

    assert again.begun == ("things",)
    after = cluster.markers.load("household", "things")
    assert after is not None
    assert after.cursor == {"next": "abc"}


def test_what_a_window_has_under_way_does_not_mix_with_the_streams_own(
    cluster: Cluster, pull: Pull, admin: Admin
) -> None:
    pull.take(page({"id": "own 1"}, landing=STAGE))
    window = Window(clock.now() - timedelta(days=2), clock.now())
    spanned = pull.next(window=window)
    assert spanned.job.window == window
    spanned.take(page({"id": "window 1"}, landing=STAGE))
    spanned.take(page({"id": "window 2"}, landing=APPLY))
    assert live(admin) == {"window 1", "window 2"}

    spanned.next().take(page({"id": "own 2"}, landing=APPLY))

    assert live(admin) == {"window 1", "window 2", "own 1", "own 2"}


# -- progress and quotas -----------------------------------------------------------------------------------


def test_progress_knows_the_stream_its_total_and_where_this_attempt_began(
    cluster: Cluster, pull: Pull
) -> None:
    pull.take(page({"id": "a"}, {"id": "b"}), total=5)
    pull.take(page({"id": "c"}))

    led = cluster.lead()
    cluster.jobs.rescue(led.connections, led.term)
    (job,) = cluster.claim(led)

    assert (job.progress.stream_rows, job.progress.total, job.started_rows) == (3, 5, 3)


def test_a_quota_is_counted_over_terms_and_refused_at_its_limit(cluster: Cluster) -> None:
    quota = Quota("tube:2026-11-25", 10, clock.now() + timedelta(hours=1))
    first = cluster.lead()
    cluster.quotas.spend(first.connections, first.term, quota, 7)
    second = cluster.lead()

    with pytest.raises(QuotaExhausted) as caught:
        cluster.quotas.spend(second.connections, second.term, quota, 4)

    assert caught.value.until == quota.resets_at
    cluster.quotas.spend(second.connections, second.term, quota, 3)
    (found,) = cluster.quotas.all()
    assert (found.name, found.used, found.limit) == (quota.name, 10, 10)


def test_a_quota_begins_anew_after_its_reset_and_the_providers_word_only_raises(cluster: Cluster) -> None:
    led = cluster.lead()
    over = Quota("tokens", 10, clock.now() - timedelta(seconds=1))
    cluster.quotas.spend(led.connections, led.term, over, 9)
    quota = dataclasses.replace(over, resets_at=clock.now() + timedelta(hours=1))

    cluster.quotas.spend(led.connections, led.term, quota, 2)
    cluster.quotas.observe(led.connections, led.term, quota, 8)
    cluster.quotas.observe(led.connections, led.term, quota, 5)

    assert [(each.used, each.limit) for each in cluster.quotas.all()] == [(8, 10)]
