"""The stores that a member works with, made once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from leaderjobs.store.batches import Batches
from leaderjobs.store.effects import Effects
from leaderjobs.store.history import History
from leaderjobs.store.holds import Holds
from leaderjobs.store.job_admin import JobAdmin
from leaderjobs.store.jobs import Jobs
from leaderjobs.store.markers import Markers
from leaderjobs.store.notices import Notices
from leaderjobs.store.overview import Overview
from leaderjobs.store.pool import Database
from leaderjobs.store.queue import Queue
from leaderjobs.store.quotas import Quotas
from leaderjobs.store.rows import Rows
from leaderjobs.store.schedules import Schedules
from leaderjobs.store.tables import Tables
from leaderjobs.store.terms import Terms


@dataclass(frozen=True, slots=True)
class Stores:
    """One database, seen as the nouns kept in it; every one of them may be used from any thread."""

    database: Database
    terms: Terms
    jobs: Jobs
    queue: Queue
    markers: Markers
    batches: Batches
    holds: Holds
    effects: Effects
    quotas: Quotas
    tables: Tables
    rows: Rows
    schedules: Schedules
    job_admin: JobAdmin
    overview: Overview
    history: History
    notices: Notices
