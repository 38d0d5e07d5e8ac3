"""`leaderjobs init`: a first configuration file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leaderjobs.errors import UsageError

if TYPE_CHECKING:
    from leaderjobs.cli import Context

# Prose has a space after its #, a setting has none: taking those #s away gives a file that loads.
TEMPLATE = """\
# leaderjobs: who leads is decided in ZooKeeper, rows and progress are kept in Postgres.
# The environment overrides a value: LEADERJOBS_CLUSTER_NAME, LEADERJOBS_CONNECTIONS_HOUSEHOLD_SECRET.
# A secret, and a server's URL, is a literal, { env = "NAME" } or { file = "/path" }.

[cluster]
# Clusters of different names share servers without touching each other.
#name = "leaderjobs"
# Left out: an embedded ZooKeeper on this machine, shared by every command.
#coordinator = "zookeeper://zk1:2181,zk2:2181,zk3:2181/leaderjobs"
# Left out: an embedded Postgres on this machine.
#database = "postgresql://leaderjobs@db/leaderjobs"
# How long a silent leader is waited for; the time a failover takes when a machine vanishes.
#session_timeout = "15s"
# Jobs that run at once on the leader.
#concurrency = 8
# A follower further behind than this is a problem to `leaderjobs status --check`.
#max_lag = "10s"
# How long running jobs may take to reach the end of a page after SIGTERM.
#drain_timeout = "30s"
# Where members keep their copy of how far every stream is; left out: your state directory.
#state_directory = "/var/lib/leaderjobs"

# An account at a third party.
# `leaderjobs connectors list` names the other connectors, `leaderjobs connectors show NAME` what each takes.
#[connections.household]
#connector = "plaid"
# https only, loopback excepted.
#base_url = "https://sandbox.plaid.com"
#client_id = { env = "PLAID_CLIENT_ID" }
#secret = { file = "/run/secrets/plaid" }
#access_token = { env = "PLAID_ACCESS_TOKEN" }
# Transactions in a page, which is what one commit holds: 1 to 500.
#page_size = 500
# How often Plaid may be asked for transactions of this account.
#rate_limit = "50/min"
# Days of history that Plaid fetches from the bank; left out: what Plaid does by itself.
#days_requested = 90
# Of one request, from the connect to the last byte.
#timeout = "30s"

# One to act on, too: `leaderjobs enqueue billing.pay_invoice invoice=in_123 amount=1200 currency=usd`.
#[connections.billing]
#connector = "stripe"
#api_key = { env = "STRIPE_API_KEY" }

# What to pull: `leaderjobs enqueue household`.
#[syncs.household]
#connection = "household"
# Left out: every stream of the connector.
#streams = ["accounts", "transactions"]
# Tries of one job before it is given up.
#max_attempts = 20
"""


@click.command("init", short_help="Write a commented configuration file.")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def command(context: Context, path: Path | None) -> None:
    """Write a commented configuration to PATH, readable by you alone; never overwrites.

    PATH is ./leaderjobs.toml when it is left out.
    """
    target = path or context.config or Path("leaderjobs.toml")
    write(target, TEMPLATE)
    click.echo(f"wrote {target}; next: leaderjobs demo, or name your servers in it and leaderjobs migrate")


def write(target: Path, text: str) -> None:
    """Create `target` with mode 0600 and `text`, whole or not at all; UsageError when it cannot be made."""
    try:
        # O_EXCL also refuses a symbolic link, so the file cannot be made to appear somewhere else.
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _NotWritten(f"{target} is already there; remove it, or name another file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _NotWritten(f"{target} cannot be written: {why}") from None
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - from a descriptor
            os.fchmod(handle, 0o600)
            file.write(text)
            file.flush()
            os.fsync(handle)
    except OSError as error:
        with suppress(OSError):
            target.unlink()
        raise _NotWritten(f"{target} cannot be written: {error.strerror}") from None


class _NotWritten(UsageError):
    exit_code = 1
