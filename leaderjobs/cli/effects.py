"""`leaderjobs effects`: what was done at third parties, and what a person does where evidence is missing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from leaderjobs.cli.arguments import OUTPUT, duration
from leaderjobs.cli.asking import person
from leaderjobs.cli.printing import document, moment, table
from leaderjobs.errors import UsageError

if TYPE_CHECKING:
    from leaderjobs.cli import Context
    from leaderjobs.engine.reconcile import Report
    from leaderjobs.model.effect import Effect, Send

STATES = ("planned", "sending", "succeeded", "failed", "uncertain", "cancelled")
MOST_SHOWN = 1000
DIFFERENT = 3


@click.group()
def command() -> None:
    """List, show, settle and reconcile what was done at third parties."""


@command.command("list")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Only these; repeatable.")
@click.option("--connection", help="Only of this connection.")
@click.option("--contradicted", is_flag=True, help="Only those of which late evidence says otherwise.")
@click.option("--limit", type=click.IntRange(1, MOST_SHOWN), default=100, show_default=True)
@OUTPUT
@click.pass_obj
def list_(
    context: Context,
    *,
    states: tuple[str, ...],
    connection: str | None,
    contradicted: bool,
    limit: int,
    output: str,
) -> None:
    """List effects, the newest first."""
    from leaderjobs import app
    from leaderjobs.model.effect import EffectState

    with app.opened_stores(context.settings()) as stores:
        wanted = tuple(EffectState(state) for state in states)
        found = stores.effects.newest(
            states=wanted, connection=connection, contradicted=contradicted, limit=limit
        )
    if output == "json":
        click.echo(document(found))
        return
    rows = [
        (
            str(effect.id)[:8],
            f"{effect.connection}.{effect.operation}",
            effect.business_key,
            effect.state.value,
            effect.code,
            moment(effect.created_at),
        )
        for effect in found
    ]
    table(("id", "operation", "effect", "state", "code", "asked for"), rows)


@command.command()
@click.argument("effect_id", metavar="ID")
@OUTPUT
@click.pass_obj
def show(context: Context, effect_id: str, output: str) -> None:
    """Show effect ID (or the beginning of it) and every send: when, which term, what came back."""
    from leaderjobs import app

    with app.opened_stores(context.settings()) as stores:
        effect = stores.effects.find(effect_id)
    if output == "json":
        click.echo(document(effect))
        return
    arguments = " ".join(f"{name}={value}" for name, value in effect.arguments.items())
    lines = {
        "effect": str(effect.id),
        "operation": f"{effect.connection}.{effect.operation} {arguments}",
        "once": effect.business_key,
        "state": headline(effect),
        "at the provider": effect.remote_id,
        "key": effect.idempotency_key,
        "request": f"{effect.request.method} {effect.request.path}",
        "asked for": moment(effect.created_at),
        "looked up": moment(effect.looked_up_at),
        "settled": moment(effect.settled_at),
        "resolved by": f"{effect.resolved_by}: {effect.note}" if effect.resolved_by else "",
        "CONTRADICTED": effect.contradiction,
    }
    for name, value in lines.items():
        if value:
            click.echo(f"{name:<16}{value}")
    for send in effect.sends:
        click.echo(_send_lines(send))


@command.command()
@click.argument("effect_id", metavar="ID")
@click.option("--succeeded", is_flag=True, help="It has taken effect at the provider.")
@click.option("--failed", is_flag=True, help="It has not, and never will.")
@click.option("--note", required=True, help="Why you are sure; kept with your name.")
@click.option("--force", is_flag=True, help="Failed, although a send may still be on its way.")
@click.pass_obj
def resolve(
    context: Context, effect_id: str, *, succeeded: bool, failed: bool, note: str, force: bool
) -> None:
    """Settle the uncertain effect ID after having looked at the provider."""
    from leaderjobs import app
    from leaderjobs.model.effect import EffectState

    if succeeded == failed:
        raise UsageError("say what you found: --succeeded or --failed")
    if not note.strip():
        raise UsageError("--note is empty; say why you are sure")
    state = EffectState.SUCCEEDED if succeeded else EffectState.FAILED
    with app.opened_stores(context.settings()) as stores:
        found = stores.effects.find(effect_id)
        effect = stores.effects.resolve(found, state, person(), note, force=force)
    click.echo(f"effect {effect.id} ({effect.business_key}) is {effect.state}, by {effect.resolved_by}")


@command.command()
@click.argument("effect_id", metavar="ID")
@click.option("--note", default="", help="Why; kept with your name.")
@click.pass_obj
def cancel(context: Context, effect_id: str, note: str) -> None:
    """Take effect ID back; only possible while nothing of it was ever sent."""
    from leaderjobs import app
    from leaderjobs.model.effect import EffectState

    with app.opened_stores(context.settings()) as stores:
        found = stores.effects.find(effect_id)
        effect = stores.effects.resolve(found, EffectState.CANCELLED, person(), note)
    click.echo(f"effect {effect.id} ({effect.business_key}) is cancelled")


@command.command()
@click.argument("effect_id", metavar="ID")
@click.pass_obj
def retry(context: Context, effect_id: str) -> None:
    """Try again what failed: a new effect in the place of ID, which stays as it is."""
    from leaderjobs import app

    settings = context.settings()
    with app.opened_stores(settings) as stores, app.planner(settings, stores) as planner:
        planned = planner.retry(stores.effects.find(effect_id))
    effect = planned.effect
    click.echo(f"effect {effect.id} ({effect.business_key}) is {effect.state}")


@command.command()
@click.argument("connection")
@click.option(
    "--since", callback=duration, default="28d", show_default=True, metavar="D", help="How far back."
)
@OUTPUT
@click.pass_context
def reconcile(click_context: click.Context, connection: str, since: timedelta, output: str) -> None:
    """Compare the ledger of CONNECTION with the provider, both ways; exit 3 when they differ."""
    from leaderjobs import app

    context: Context = click_context.obj
    report = app.reconcile(context.settings(), connection, since)
    if output == "json":
        click.echo(document(report))
    else:
        _print_report(report)
    if report.differences:
        click_context.exit(DIFFERENT)


def _print_report(report: Report) -> None:
    click.echo(
        f"{report.connection} since {moment(report.since)}: {report.effects} effects, "
        f"{report.movements} movements at the provider, {report.matched} of them known"
    )
    for name in report.one_way:
        click.echo(f"note: the provider cannot list {name}; only what the ledger knows was looked up")
    for difference in report.differences:
        click.echo(f"{difference.kind}: {difference.message}")
    click.echo("ledger and provider agree" if not report.differences else "ledger and provider differ")


def headline(effect: Effect) -> str:
    """State and reason on one line."""
    said = effect.reason or effect.code
    other = " (not by us)" if effect.by_other else ""
    return f"{effect.state.value}{other}" + (f": {said}" if said else "")


def _send_lines(send: Send) -> str:
    """When, which term, why it was allowed; what came back."""
    who = f"in term {send.term} by {send.member} ({send.basis})"
    stamped = f"send {send.n:<11}stamped {moment(send.sent_at)} {who}"
    verdict = send.verdict
    if verdict is None:
        return f"{stamped}\n{'':<16}no evidence: it may have acted"
    took = "" if send.ended_at is None else f"{(send.ended_at - send.sent_at).total_seconds():.2f} s"
    parts = (
        took,
        "" if verdict.status is None else f"HTTP {verdict.status}",
        "replayed" if verdict.replayed else "",
        verdict.code,
        verdict.request_id,
        verdict.message,
    )
    return f"{stamped}\n{'':<16}{verdict.told.value}: {', '.join(filter(None, parts))}"
