"""`leaderjobs enqueue CONNECTION.OPERATION` and `leaderjobs effects`, as a user types them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from leaderjobs import app, clock
from leaderjobs.cli import main
from leaderjobs.config import load
from leaderjobs.engine.stores import Stores
from leaderjobs.model.effect import Effect, EffectState, Told, Verdict
from leaderjobs.model.settle import Basis, Settle
from leaderjobs.model.term import Term
from leaderjobs.sandbox.stripe.sandbox import StripeSandbox
from leaderjobs.store.pool import TermConnections

ASK = ("billing.pay_invoice", "invoice=in_123", "amount=1200", "currency=usd")


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeSandbox]:
    with StripeSandbox(invoices=5) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, database_url: str, stripe: StripeSandbox) -> Path:
    """A Stripe connection on a migrated database, and nobody who works."""
    path = tmp_path / "leaderjobs.toml"
    path.write_text(
        f"""
        [cluster]
        name = "acme"
        coordinator = "zookeeper://127.0.0.1:1/leaderjobs"
        database = "{database_url}"
        [connections.billing]
        connector = "stripe"
        base_url = "{stripe.url}"
        api_key = "{stripe.api_key}"
        [connections.household]
        connector = "plaid"
        client_id = "c"
        secret = "s"
        access_token = "t"
        [syncs.household]
        connection = "household"
        """
    )
    path.chmod(0o600)
    with app.opened_stores(load(path, {}), migrate=True):
        return path


@contextmanager
def stores(config: Path) -> Iterator[Stores]:
    with app.opened_stores(load(config, {})) as opened:
        yield opened


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(config), *arguments])


def told(config: Path, *arguments: str) -> Any:
    ran = run(config, *arguments, "--output", "json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def planned(config: Path, *arguments: str) -> Effect:
    """An effect asked for by the command line, as the ledger has it."""
    asked = told(config, "enqueue", *(arguments or ASK))
    with stores(config) as opened:
        return opened.effects.get(uuid.UUID(asked["effect"]["id"]))


def become(config: Path, effect: Effect, state: EffectState, verdict: Verdict | None = None) -> None:
    """What a leader would have done: one send, and the settlement."""
    with stores(config) as opened:
        number = opened.terms.raise_fence(0, clock_token(), "origin", "web1")
        term = Term(
            "acme",
            0,
            number,
            1,
            "origin",
            "web1",
            clock.now(),
            timedelta(minutes=1),
            clock.elapsed,
            clock.elapsed(),
        )
        connections = TermConnections(opened.database, term, 2)
        stamp = uuid.uuid4()
        opened.effects.stamp(connections, term, effect, stamp, Basis.FIRST, None)
        if verdict is not None:
            opened.effects.record(effect, stamp, verdict)
        end = Settle(state, "code", "the reason why")
        assert opened.effects.settle(connections, term, opened.effects.get(effect.id), end, looked=True)
        connections.close()


def clock_token() -> int:
    return int(clock.elapsed() * 1_000_000)


# -- asking ------------------------------------------------------------------------------------------------


def test_an_operation_is_planned_with_its_arguments_typed(config: Path) -> None:
    asked = told(config, "enqueue", *ASK)

    assert asked["created"] is True
    assert asked["effect"]["arguments"] == {"invoice": "in_123", "amount": 1200, "currency": "usd"}
    assert (asked["effect"]["business_key"], asked["effect"]["state"]) == ("invoice:in_123:pay", "planned")


def test_asking_twice_returns_the_same_effect(config: Path) -> None:
    first, again = told(config, "enqueue", *ASK), told(config, "enqueue", *ASK)

    assert (again["created"], again["effect"]["id"], again["job"]) == (
        False,
        first["effect"]["id"],
        first["job"],
    )
    line = run(config, "enqueue", *ASK).stdout
    assert line == f"effect {first['effect']['id']} (invoice:in_123:pay) is already there: planned\n"


def test_asking_with_another_amount_is_refused_with_both_amounts(config: Path) -> None:
    told(config, "enqueue", *ASK)
    ran = run(config, "enqueue", "billing.pay_invoice", "invoice=in_123", "amount=1300", "currency=usd")

    assert ran.exit_code == 1
    assert "amount=1200 then and 1300 now" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["billing.pay"], "connection billing has no operation 'pay'; it has: billing."),
        (["nobody.pay_invoice"], "no sync is called 'nobody.pay_invoice'; known: household"),
        (["household.pay_invoice"], "connection household has no operation 'pay_invoice'; it has: none"),
        (["billing.pay_invoice"], "invoice"),
        (["billing.pay_invoice", "invoice=in_1", "amount=12.5"], "amount"),
        (["billing.pay_invoice", "invoice=in_1", "colour=red"], "colour"),
        (["billing.pay_invoice", "invoice"], "'invoice': allowed: NAME=VALUE"),
        (["billing.pay_invoice", "invoice=in_1", "invoice=in_2"], "invoice is given twice"),
        (["billing.pay_invoice", "invoice=in_1", "--key", "k"], "are for syncs"),
        (["household", "invoice=in_1"], "household is a sync; only operations take arguments"),
    ],
)
def test_a_wish_that_cannot_be_is_a_usage_error_of_one_line(
    config: Path, words: list[str], said: str
) -> None:
    ran = run(config, "enqueue", *words)

    assert (ran.exit_code, ran.stderr.count("\n")) == (2, 1), ran.output
    assert said in ran.stderr


def test_waiting_ends_when_the_effect_is_uncertain_and_says_what_to_do(config: Path) -> None:
    effect = planned(config)
    become(config, effect, EffectState.UNCERTAIN)
    with stores(config) as opened, opened.database.transaction() as connection:
        connection.execute(
            "UPDATE leaderjobs.jobs SET state = 'uncertain', scheduled_at = now() + '1h'::interval"
        )
    ran = run(config, "enqueue", *ASK, "--wait")

    assert ran.exit_code == 1
    assert f"uncertain: the reason why; see: leaderjobs effects show {str(effect.id)[:8]}" in ran.stderr


# -- looking -----------------------------------------------------------------------------------------------


def test_effects_are_listed_and_filtered(config: Path) -> None:
    assert run(config, "effects", "list").stdout == "none\n"
    first = planned(config)
    second = planned(config, "billing.pay_invoice", "invoice=in_456")
    become(config, first, EffectState.UNCERTAIN)

    everything = run(config, "effects", "list").stdout
    assert all(str(effect.id)[:8] in everything for effect in (first, second))
    assert [each["id"] for each in told(config, "effects", "list")] == [str(second.id), str(first.id)]
    only = told(config, "effects", "list", "--state", "uncertain", "--connection", "billing")
    assert [each["id"] for each in only] == [str(first.id)]
    assert told(config, "effects", "list", "--connection", "other") == []


def test_an_effect_is_shown_with_every_send_by_the_beginning_of_its_id(config: Path) -> None:
    effect = planned(config)
    became = Verdict(Told.UNKNOWN, "no_answer", "broke off", status=None, request_id="req_9")
    become(config, effect, EffectState.UNCERTAIN, became)

    shown = run(config, "effects", "show", str(effect.id)[:6]).stdout
    for part in (
        str(effect.id),
        "billing.pay_invoice amount=1200 invoice=in_123 currency=usd",
        "uncertain: the reason why",
        effect.idempotency_key,
        "POST /v1/invoices/in_123/pay",
        "web1",
        "first",
        "unknown",
        "req_9",
    ):
        assert part in shown
    (send,) = told(config, "effects", "show", str(effect.id))["sends"]
    assert (send["verdict"]["told"], send["basis"]) == ("unknown", "first")
    missing = run(config, "effects", "show", "nope")
    assert (missing.exit_code, "no effect begins with 'nope'" in missing.stderr) == (2, True)


def test_status_counts_what_is_uncertain_and_check_leaves_with_3(config: Path) -> None:
    become(config, planned(config), EffectState.UNCERTAIN)
    ran = run(config, "status", "--output", "json")
    problems = {problem["code"]: problem for problem in json.loads(ran.stdout)["problems"]}

    assert problems["effects_uncertain"]["unhealthy"] is True
    assert "1 effect is uncertain" in problems["effects_uncertain"]["message"]
    assert run(config, "status", "--check").exit_code == 3


# -- settling by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["succeeded", "failed"])
def test_a_person_resolves_what_is_uncertain(config: Path, word: str) -> None:
    effect = planned(config)
    become(config, effect, EffectState.UNCERTAIN)
    short = str(effect.id)[:8]

    if word == "failed":
        early = run(config, "effects", "resolve", short, "--failed", "--note", "x")
        assert (early.exit_code, "may still reach the provider" in early.stderr) == (1, True)
    ran = run(config, "effects", "resolve", short, f"--{word}", "--note", "seen in the dashboard", "--force")

    assert ran.exit_code == 0, ran.output
    assert f"is {word}, by " in ran.stdout
    shown = told(config, "effects", "show", short)
    assert (shown["state"], shown["note"]) == (word, "seen in the dashboard")
    again = run(config, "effects", "resolve", short, "--failed", "--note", "x")
    assert (again.exit_code, f"is {word}; only an effect that is uncertain" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ["--note", "x"],
        ["--succeeded", "--failed", "--note", "x"],
        ["--succeeded"],
        ["--succeeded", "--note", " "],
    ],
)
def test_resolving_needs_one_answer_and_a_reason(config: Path, words: list[str]) -> None:
    effect = planned(config)

    assert run(config, "effects", "resolve", str(effect.id), *words).exit_code == 2


def test_what_was_never_sent_can_be_taken_back(config: Path) -> None:
    effect = planned(config)

    assert "is cancelled" in run(config, "effects", "cancel", str(effect.id)).stdout
    assert told(config, "effects", "show", str(effect.id))["state"] == "cancelled"
    again = run(config, "effects", "cancel", str(effect.id))
    assert (again.exit_code, "only an effect that is planned" in again.stderr) == (1, True)


def test_what_failed_is_tried_again_as_a_new_effect(config: Path) -> None:
    effect = planned(config)
    refused = run(config, "effects", "retry", str(effect.id))
    assert (refused.exit_code, "invoice:in_123:pay is planned" in refused.stderr) == (1, True)
    become(config, effect, EffectState.FAILED)

    ran = run(config, "effects", "retry", str(effect.id))

    assert "(invoice:in_123:pay:retry-2) is planned" in ran.stdout
    newest = told(config, "effects", "list")[0]
    assert newest["idempotency_key"] != effect.idempotency_key
    assert newest["arguments"] == dict(effect.arguments)
    assert run(config, "effects", "retry", str(effect.id)).exit_code == 1


# -- reconciling -------------------------------------------------------------------------------------------


def test_reconcile_finds_what_only_one_side_knows(
    config: Path, stripe: StripeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leaderjobs.engine import reconcile

    monkeypatch.setattr(reconcile, "FRESH", timedelta(0))
    (theirs, missing) = stripe.change({"invoices": 2})["invoices"]
    stripe.change({"pay_by_other": theirs})
    effect = planned(config, "billing.pay_invoice", f"invoice={missing}")
    become(config, effect, EffectState.SUCCEEDED)

    ran = run(config, "effects", "reconcile", "billing", "--output", "json")

    assert ran.exit_code == 3, ran.output
    kinds = {each["kind"]: each["business_key"] for each in json.loads(ran.stdout)["differences"]}
    assert kinds["paid_without_effect"] == f"invoice:{theirs}:pay"
    assert kinds["effect_without_payment"] == f"invoice:{missing}:pay"
    text = run(config, "effects", "reconcile", "billing")
    assert text.exit_code == 3
    assert "ledger and provider differ" in text.stdout
    unknown = run(config, "effects", "reconcile", "nobody")
    assert (unknown.exit_code, "known: billing, household" in unknown.stderr) == (2, True)
