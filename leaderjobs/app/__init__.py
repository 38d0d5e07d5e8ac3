"""The composition root: the only package that names concrete backends, each imported where it is chosen.

Every command builds what it needs from here and closes it: `servers` finds (or starts) the coordinator
and the database, the rest are constructors.
"""

from leaderjobs.app.connecting import check_connections, connector_maker, planner, reconcile
from leaderjobs.app.examining import doctor
from leaderjobs.app.explaining import why_job, why_schedule
from leaderjobs.app.looking import looking, status
from leaderjobs.app.scheduling import backfill, lint, trigger
from leaderjobs.app.servers import (
    Servers,
    coordinator,
    coordinator_origin,
    database,
    observer,
    opened_stores,
    servers,
    stores,
)
from leaderjobs.app.working import default_member_id, preparation, state_directory, worker

__all__ = [
    "Servers",
    "backfill",
    "check_connections",
    "connector_maker",
    "coordinator",
    "coordinator_origin",
    "database",
    "default_member_id",
    "doctor",
    "lint",
    "looking",
    "observer",
    "opened_stores",
    "planner",
    "preparation",
    "reconcile",
    "servers",
    "state_directory",
    "status",
    "stores",
    "trigger",
    "why_job",
    "why_schedule",
    "worker",
]
