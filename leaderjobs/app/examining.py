"""Whether everything holds that this program assumes of its servers, its machine and its configuration."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from leaderjobs import logs
from leaderjobs.app.connecting import check_connections
from leaderjobs.app.servers import OBSERVER_TIMEOUT, Servers, coordinator, servers
from leaderjobs.errors import ConfigError, EmbeddedError
from leaderjobs.values import Secret, hide_passwords, secrets_in

if TYPE_CHECKING:
    from leaderjobs.config import Settings
    from leaderjobs.engine.doctor import Check
    from leaderjobs.engine.doctor_machine import Machine
    from leaderjobs.model.finding import Examination, Finding

_CONNECTIONS_PATIENCE_FACTOR = 5
"""Providers answer in their own time; each call has its own timeout besides."""


def doctor(settings: Settings, *, connections: bool = False) -> Examination:
    """Every check, side by side; `connections` also makes one cheap call to each provider.

    Raises nothing for what it finds. Nothing in the result is secret.
    """
    from leaderjobs.engine.doctor import PATIENCE, examine

    machine = _machine(settings)
    for secret in machine.secrets.values():
        with contextlib.suppress(ConfigError):
            logs.redact(secret.reveal())
    with contextlib.ExitStack() as opened:
        checks = [*_of_servers(settings, opened), *machine.checks()]
        if connections:
            checks.append(_of_connections(settings))
        return examine(
            settings.cluster.name,
            checks,
            hide=lambda text: hide_passwords(logs.redacted(text)),
            patience=PATIENCE * (_CONNECTIONS_PATIENCE_FACTOR if connections else 1),
        )


def _of_servers(settings: Settings, opened: contextlib.ExitStack) -> Iterable[Check]:
    """Those of coordinator, database and cluster; one that says why where it is not known where they are."""
    from leaderjobs.engine import doctor as made

    def unknown(finding: Finding) -> list[Check]:
        return [made.Check(finding.check, lambda: [finding])]

    try:
        found = servers(settings, start=False)
    except EmbeddedError as error:
        return unknown(made.warning("servers", str(error), "leaderjobs dev start, or leaderjobs run"))
    except ConfigError as error:
        return unknown(made.failed("servers", str(error), "correct it; nothing else can be looked at before"))
    try:
        return [*_embedded(settings), *_checks(settings, found, opened)]
    except ConfigError as error:
        return unknown(made.failed("servers", str(error), "correct the URL"))


def _embedded(settings: Settings) -> Iterable[Check]:
    from leaderjobs.engine.doctor import Check, ok

    named = {"ZooKeeper": settings.cluster.coordinator, "Postgres": settings.cluster.database}
    ours = [name for name, url in named.items() if url is None]
    if ours:
        told = f"{' and '.join(ours)} embedded: real servers, for this machine and this user only"
        yield Check("servers", lambda: [ok("servers", told)])


def _checks(settings: Settings, found: Servers, opened: contextlib.ExitStack) -> Iterable[Check]:
    from leaderjobs.coordination.zookeeper_doctor import ZooKeeperExaminer
    from leaderjobs.engine.doctor import Check
    from leaderjobs.engine.doctor_cluster import ClusterChecks
    from leaderjobs.engine.doctor_database import REACHABLE, DatabaseChecks
    from leaderjobs.store.doctor import DatabaseLooks
    from leaderjobs.store.migrate import Migrations
    from leaderjobs.store.pool import Database

    cluster = settings.cluster
    examiner = ZooKeeperExaminer(
        found.coordinator, cluster.name, cluster.session_timeout, embedded=cluster.coordinator is None
    )
    session = coordinator(settings, found, timeout=OBSERVER_TIMEOUT)
    opened.callback(session.close)
    session.listen(lambda _event: None)
    database = Database(found.database, application="leaderjobs doctor")
    opened.callback(database.close)
    looks = DatabaseLooks(database)
    return [
        Check("coordinator", examiner.examine),
        *DatabaseChecks(looks, Migrations(database), _tables(settings)).checks(),
        *ClusterChecks(session, looks, cluster.concurrency).checks("coordinator", REACHABLE),
    ]


def _of_connections(settings: Settings) -> Check:
    from leaderjobs.engine.checks import CheckVerdict
    from leaderjobs.engine.doctor import Check, failed, ok

    def look() -> Iterator[Finding]:
        for each in check_connections(settings, None):
            name = f"connections.{each.connection}"
            if each.verdict is CheckVerdict.OK:
                yield ok(name, f"{each.connector} answered in {each.seconds:.2f} s")
            else:
                remedy = (
                    f"mend the account or [connections.{each.connection}], then: leaderjobs connections check"
                )
                yield failed(name, f"{each.verdict.value}: {each.message}", remedy)

    return Check("connections", look)


def _tables(settings: Settings) -> list[str]:
    """`schema.name` of every stream that is configured."""
    from leaderjobs.connectors import registry

    found: dict[str, None] = {}
    for each in settings.connections.values():
        which = (each.connector, each.name, each.options)
        schema = registry.schema(*which)
        found.update(dict.fromkeys(f"{schema}.{stream.name}" for stream in registry.streams(*which)))
    return list(found)


def _machine(settings: Settings) -> Machine:
    from platformdirs import user_state_path

    from leaderjobs.engine.doctor_machine import Machine

    cluster = settings.cluster
    embedded = None
    if cluster.coordinator is None or cluster.database is None:
        from leaderjobs.embedded import dev

        embedded = dev.default_directory()
    given = cluster.state_directory
    return Machine(
        config=settings.path,
        secrets=dict(_secrets(settings)),
        commands={name: hook.command[0] for name, hook in settings.hooks.items() if hook.command},
        state_directory=Path(given) if given else user_state_path("leaderjobs", appauthor=False),
        embedded_directory=embedded,
    )


def _secrets(settings: Settings) -> Iterator[tuple[str, Secret]]:
    """Every secret with the name of its setting; a table of several gives each a number."""
    cluster = settings.cluster
    held: list[tuple[str, object]] = [
        ("cluster.coordinator", cluster.coordinator),
        ("cluster.database", cluster.database),
        *((f"hooks.{name}.secret", hook.secret) for name, hook in settings.hooks.items()),
    ]
    for name, connection in settings.connections.items():
        options = msgspec.structs.asdict(connection.options)
        held += [(f"connections.{name}.{option}", value) for option, value in options.items()]
    for name, value in held:
        for number, secret in enumerate(secrets_in(value), 1):
            yield name if number == 1 else f"{name}, secret {number}", secret
