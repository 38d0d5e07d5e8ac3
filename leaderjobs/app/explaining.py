"""Why something does not happen, for commands."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from leaderjobs import clock
from leaderjobs.app.servers import OBSERVER_TIMEOUT, Servers, coordinator, servers
from leaderjobs.app.working import limits
from leaderjobs.errors import ConfigError, CoordinatorUnavailable
from leaderjobs.model.term import LONGEST_BEAT

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.engine.leadership import Leadership
    from leaderjobs.model.reason import Reason

CONNECT_PATIENCE = timedelta(seconds=3)
SILENT_AFTER = timedelta(seconds=3)
"""A leader whose last heartbeat looks older is watched for the next one."""


def why_job(settings: Settings, job_id: int) -> Reason:
    """The one true reason why a job is not running, or what it is doing.

    StoreError when the database cannot be asked; a coordinator that is down is part of the answer.
    """
    from leaderjobs.coordination.base import PARTITION
    from leaderjobs.engine.why import why_job as decide
    from leaderjobs.store.pool import Database
    from leaderjobs.store.why import Whys

    found = servers(settings, start=False)
    with closing(Database(found.database, application="leaderjobs why")) as database:
        facts = Whys(database, settings.cluster.name, PARTITION).job(job_id)
    return decide(job_id, facts, _leadership(settings, found), limits(lambda: settings)())


def why_schedule(settings: Settings, name: str, at: datetime | None = None) -> Reason:
    """The one true reason why a schedule does not fire, or did not at the aware `at`; as `why_job`."""
    from leaderjobs.coordination.base import PARTITION
    from leaderjobs.engine.why_schedule import why_schedule as decide
    from leaderjobs.store.pool import Database
    from leaderjobs.store.why import Whys

    found = servers(settings, start=False)
    cluster = settings.cluster.name
    with closing(Database(found.database, application="leaderjobs why")) as database:
        facts = Whys(database, cluster, PARTITION).schedule(name, at)
    in_file = name in settings.schedules
    return decide(name, facts, _leadership(settings, found), cluster, at=at, in_file=in_file)


def _leadership(settings: Settings, found: Servers) -> Leadership:
    """Asked after the facts were read: what they call running may have lost its leader, never the reverse."""
    from leaderjobs.coordination.base import PARTITION
    from leaderjobs.engine.leadership import Leadership

    with closing(coordinator(settings, found, timeout=OBSERVER_TIMEOUT)) as session:
        session.listen(lambda _event: None)
        try:
            session.connect(CONNECT_PATIENCE)
            leader = session.leader(PARTITION)
            silent = False
            if leader is not None and clock.now() - leader.heartbeat_at > SILENT_AFTER:
                # Perhaps only our clocks differ: the next heartbeat tells.
                threading.Event().wait(LONGEST_BEAT * 1.5)
                again = session.leader(PARTITION)
                silent = again is not None and again.heartbeat_at == leader.heartbeat_at
                leader = again
            return Leadership(session.kind, leader, session.origin(), silent=silent)
        except (CoordinatorUnavailable, ConfigError) as error:
            return Leadership(session.kind, error=str(error))
