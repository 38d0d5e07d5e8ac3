"""What is assumed of Postgres, judged; every function is one check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from leaderjobs.engine.doctor import Check, failed, ok, skipped, warning
from leaderjobs.errors import SchemaMismatch
from leaderjobs.model.finding import Finding
from leaderjobs.store.doctor import NOTICE_PATIENCE, OLDEST_SERVER, DatabaseLooks, Setting
from leaderjobs.store.migrate import Migrations
from leaderjobs.store.pool import LONGEST_STATEMENT

REACHABLE = "database.reachable"
WRITABLE = "database.writable"
SCHEMA = "database.schema"
POOLER = "database.pooler"
OLD = timedelta(minutes=5)
"""A transaction that is open longer makes every queue slower by the minute."""
_SHORT_ISOLATION = "read committed"
_DIRECT = "point cluster.database at Postgres itself, or at a pool in session mode"


@dataclass(frozen=True, slots=True)
class DatabaseChecks:
    """The checks of one database; `tables` are `schema.name` of every configured stream."""

    looks: DatabaseLooks
    migrations: Migrations
    tables: Sequence[str]

    def checks(self) -> list[Check]:
        """In the order they are shown."""
        reach, schema = (REACHABLE,), (REACHABLE, SCHEMA)
        looks: Sequence[tuple[str, Callable[[], Iterator[Finding]], tuple[str, ...]]] = (
            (REACHABLE, self._reachable, ()),
            ("database.version", self._version, reach),
            (WRITABLE, self._writable, reach),
            (SCHEMA, self._schema, reach),
            ("database.rights", self._rights, reach),
            (POOLER, self._pooler, reach),
            ("database.take_over", self._take_over, (REACHABLE, POOLER)),
            ("database.notify", self._notify, (REACHABLE, WRITABLE)),
            ("database.timeouts", self._timeouts, reach),
            ("database.isolation", self._isolation, reach),
            ("database.durability", self._durability, reach),
            ("database.old_transactions", self._old_transactions, reach),
            ("database.autovacuum", self._autovacuum, schema),
        )
        return [Check(*each) for each in looks]

    def _reachable(self) -> Iterator[Finding]:
        server = self.looks.server()
        yield ok(REACHABLE, f"Postgres answers {server.role}")

    def _version(self) -> Iterator[Finding]:
        check, server = "database.version", self.looks.server()
        if server.number < OLDEST_SERVER:
            lowest = OLDEST_SERVER // 10_000
            yield failed(check, f"Postgres {server.version}", f"upgrade the server to {lowest} or newer")
        else:
            yield ok(check, f"Postgres {server.version}")

    def _writable(self) -> Iterator[Finding]:
        server = self.looks.server()
        only = self.looks.settings().get("default_transaction_read_only")
        if server.standby:
            remedy = "point cluster.database at the primary"
            yield failed(WRITABLE, "this is a standby, which takes no writes", remedy)
        elif only is not None and only.setting == "on":
            yield warning(
                WRITABLE,
                f"default_transaction_read_only is on ({only.source}): what asks for no more cannot write",
                _reset(only),
            )
        else:
            yield ok(WRITABLE, "a primary that takes writes")

    def _schema(self) -> Iterator[Finding]:
        pending = self.migrations.pending()
        try:
            self.migrations.check()
        except SchemaMismatch as error:
            remedy = "leaderjobs migrate" if pending else "install the newer leaderjobs here"
            yield failed(SCHEMA, str(error), remedy)
        else:
            yield ok(SCHEMA, "the schema fits this leaderjobs")

    def _rights(self) -> Iterator[Finding]:
        check = "database.rights"
        names = sorted({"leaderjobs", *(table.partition(".")[0] for table in self.tables)})
        server, role = self.looks.server(), self.looks.server().role
        for schema in self.looks.schemas(names):
            if not schema.there and not schema.may_create_schemas:
                yield failed(
                    check,
                    f"schema {schema.name} is not there, and {role} may not make it",
                    f"as its owner: create schema {schema.name} authorization {role}",
                )
                return
            if schema.there and not (schema.may_use and schema.may_create):
                yield failed(
                    check,
                    f"{role} may not make tables in schema {schema.name}",
                    f"as its owner: grant usage, create on schema {schema.name} to {role}",
                )
                return
        lacking = self.looks.lacking(self.tables)
        if lacking:
            first = lacking[0]
            judge = failed if first.unusable else warning
            what = "read and write" if first.unusable else "change the columns of"
            yield judge(
                check,
                f"{role} may not {what} {first.name}, which belongs to {first.owner}",
                f"grant {first.owner} to {role}, or use one role on every member",
            )
            return
        yield ok(check, f"{role} may do what is needed{', as a superuser' if server.superuser else ''}")

    def _pooler(self) -> Iterator[Finding]:
        pooling = self.looks.pooling()
        if not pooling.between:
            yield ok(POOLER, "connections are direct")
        elif not pooling.shared:
            yield ok(POOLER, "a pooler stands in between, by the session")
        else:
            yield warning(
                POOLER,
                "a pooler stands in between and shares connections by the transaction: what a session sets "
                "is lost, and notifications do not come through",
                _DIRECT,
            )

    def _take_over(self) -> Iterator[Finding]:
        check, role = "database.take_over", self.looks.server().role
        strangers = self.looks.strangers()
        if strangers:
            yield failed(
                check,
                f"members work as {', '.join(strangers)} too, and {role} may not end their transactions",
                f"grant pg_signal_backend to {role}, or use one role on every member",
            )
        elif self.looks.pooling().between:
            yield skipped(check, "through a pooler it would end somebody else's transaction")
        elif self.looks.may_end_own():
            yield ok(check, f"{role} may end transactions of older terms")
        else:
            yield failed(
                check,
                f"{role} could not end a connection of its own: a stalled leader would block the next",
                f"grant execute on function pg_terminate_backend(integer, bigint) to {role}",
            )

    def _notify(self) -> Iterator[Finding]:
        check, took = "database.notify", self.looks.notified()
        if took is None:
            yield warning(
                check,
                f"no notification came within {NOTICE_PATIENCE.total_seconds():g} s, a pooler or proxy keeps "
                "them: work starts up to a second later, found by polling",
                _DIRECT,
            )
        else:
            yield ok(check, f"a notification takes {took.total_seconds() * 1000:.0f} ms")

    def _timeouts(self) -> Iterator[Finding]:
        check, settings = "database.timeouts", self.looks.settings()
        longest = LONGEST_STATEMENT.total_seconds() * 1000
        harm = {
            "statement_timeout": (longest, "cuts off what runs outside of a term, such as building an index"),
            "transaction_timeout": (longest, "cuts off the landing of a large update"),
            "idle_in_transaction_session_timeout": (1000, "cuts off migrations, and your own enqueuing"),
            "idle_session_timeout": (float("inf"), "cuts off whoever waits for notifications"),
        }
        found = []
        for name, (least, what) in harm.items():
            setting = settings.get(name)
            if setting is not None and 0 < int(setting.setting) < least:
                shown = f"{name} = {int(setting.setting) / 1000:g} s ({setting.source}) {what}"
                found.append(warning(check, shown, _reset(setting)))
        yield from found or [ok(check, "no timeout of the role or the server cuts us off")]

    def _isolation(self) -> Iterator[Finding]:
        check = "database.isolation"
        setting = self.looks.settings()["default_transaction_isolation"]
        if setting.setting == _SHORT_ISOLATION:
            yield ok(check, setting.setting)
        else:
            yield warning(
                check,
                f"default_transaction_isolation = {setting.setting} ({setting.source}): our transactions say "
                "read committed themselves, but enqueuing inside of yours may fail with a conflict",
                _reset(setting),
            )

    def _durability(self) -> Iterator[Finding]:
        check, settings = "database.durability", self.looks.settings()
        harm = {
            "fsync": "a crash of the machine may destroy the database",
            "full_page_writes": "a crash of the machine may destroy pages",
            "synchronous_commit": "a crash loses acknowledged commits, markers and effects among them",
        }
        found = [
            warning(check, f"{name} is off ({settings[name].source}): {what}", f"set {name} = on")
            for name, what in harm.items()
            if settings[name].setting == "off"
        ]
        yield from found or [ok(check, "what is acknowledged survives a crash")]

    def _old_transactions(self) -> Iterator[Finding]:
        check, found = "database.old_transactions", self.looks.old_transactions(OLD)
        for old in found:
            who = " ".join(part for part in (old.role, old.application) if part)
            since = "" if old.age is None else f" has been open for {_span(old.age)}"
            yield warning(
                check,
                f"{old.what}{f' ({who})' if who else ''}{since} and keeps dead rows from being removed",
                "end it (pg_terminate_backend, rollback prepared, pg_drop_replication_slot), and find out "
                "who leaves it open",
            )
        if not found:
            yield ok(check, f"no transaction is older than {_span(OLD)}")

    def _autovacuum(self) -> Iterator[Finding]:
        check, settings = "database.autovacuum", self.looks.settings()
        off = [name for name in ("autovacuum", "track_counts") if settings[name].setting == "off"]
        tables = self.looks.unvacuumed(self.tables)
        if off:
            yield warning(check, f"{off[0]} is off: the queue grows without end", f"set {off[0]} = on")
        for table in tables:
            yield warning(
                check,
                f"autovacuum leaves {table} alone: it grows without end",
                f"alter table {table} reset (autovacuum_enabled)",
            )
        if not off and not tables:
            yield ok(check, "autovacuum is on for our tables")


def _reset(setting: Setting) -> str:
    match setting.source:
        case "user" | "database user":
            return f"alter role ... reset {setting.name} (in its database, where it was set so)"
        case "database":
            return f"alter database ... reset {setting.name}"
        case "client":
            return f"take {setting.name} out of cluster.database or PGOPTIONS"
        case _:
            return f"alter role ... set {setting.name} for the role of leaderjobs, or mend the server's file"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
