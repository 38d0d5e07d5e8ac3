"""A provider inside the test with one operation, `shop.pay`, that does what a script says, send by send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from leaderjobs.connectors.base import Arguments, Ask, Operation
from leaderjobs.connectors.outcome import NO_ANSWER, NOT_SENT, Answer
from leaderjobs.engine.planner import Planner
from leaderjobs.errors import TransientError
from leaderjobs.model.effect import Effect, EffectState, Request, Told, Verdict
from leaderjobs.model.settle import Rules
from tests.integration.engine.scripted import Bench, ScriptedConnector
from tests.support import eventually

STATUS = {
    200: Told.DONE,
    202: Told.PENDING,
    400: Told.MISMATCH,
    401: Told.REFUSED,
    402: Told.DECLINED,
    429: Told.REFUSED,
    500: Told.UNKNOWN,
}
STRIPE_LIKE = Rules(timedelta(hours=23), looks_up=True)


class Pay(Operation):
    """Pays an invoice by its id."""

    name = "pay"

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.timeout = timedelta(seconds=2)

    def parse(self, given: Arguments) -> Arguments:
        return {"invoice": str(given["invoice"]), "amount": int(str(given.get("amount", 0)))}

    def business_key(self, arguments: Arguments) -> str:
        return f"invoice:{arguments['invoice']}:pay"

    def build(self, arguments: Arguments, idempotency_key: str) -> Request:
        path = f"/pay/{arguments['invoice']}"
        return Request("POST", path, str(arguments["amount"]).encode(), {"Idempotency-Key": idempotency_key})

    def classify(self, answer: Answer) -> Verdict:
        replayed = answer.headers.get("replayed") == "true"
        # As Stripe: a 500 that is replayed for our key will never be anything else.
        told = Told.STUCK if replayed and answer.status == 500 else STATUS[answer.status]
        return Verdict(
            told, str(answer.status), status=answer.status, replayed=replayed, hold=answer.status == 401
        )

    def look_up(self, effect: Effect, ask: Ask) -> Verdict:
        answer = ask(Request("GET", f"/invoices/{effect.arguments['invoice']}"))
        return Verdict(Told(answer.body.decode()), "looked")


@dataclass
class Shop:
    """What the provider does with each send, and its book.

    `script` is used up one entry a send, and after its end every send acts: a status, or `refuse` (never
    arrives), `drop` (arrives, does nothing, no answer), `act and drop`; or a function that gives one of these.
    """

    rules: Rules = STRIPE_LIKE
    script: list[str | Callable[[], str]] = field(default_factory=list)
    honours: bool = True
    shows: str | None = None
    """What a look-up says; None: the truth."""
    book: list[str] = field(default_factory=list)
    """Invoices, one entry for each time one was paid."""
    sends: list[Request] = field(default_factory=list)
    looks: int = 0
    stored: dict[str, Answer] = field(default_factory=dict)

    def exchange(self, request: Request, guard: Callable[[], None]) -> Answer:
        """One request, as the provider sees it."""
        invoice = request.path.rpartition("/")[2]
        if request.method != "GET" and self.script[:1] == ["refuse"]:
            self.script.pop(0)
            raise TransientError("nobody there", code=NOT_SENT)
        guard()
        if request.method == "GET":
            self.looks += 1
            if self.shows == "down":
                raise TransientError("no look-up", code=NO_ANSWER)
            return Answer(200, (self.shows or ("done" if invoice in self.book else "open")).encode())
        self.sends.append(request)
        return self._pay(request, invoice)

    def _pay(self, request: Request, invoice: str) -> Answer:
        word = self.script.pop(0) if self.script else "act"
        if callable(word):
            word = word()
        key = request.headers["Idempotency-Key"]
        if word in {"429", "401"}:
            return Answer(int(word), b"")
        if word == "drop":
            raise TransientError("lost on the way", code=NO_ANSWER)
        if self.honours and key in self.stored:
            stored = self.stored[key]
            answer = Answer(stored.status, b"", headers={"replayed": "true"})
        else:
            answer = Answer({"act": 200, "act and drop": 200}.get(word) or int(word), b"")
            self.stored[key] = answer
            if answer.status == 200:
                self.book.append(invoice)
        if word == "act and drop":
            raise TransientError("acted, and the answer was lost", code=NO_ANSWER)
        return answer

    def open_in(self, bench: Bench) -> None:
        """Put the operation before the members of a bench."""
        bench.script.operations = {"pay": Pay(self.rules)}
        bench.script.exchange = self.exchange


def pay(bench: Bench, invoice: str = "in_1", **arguments: object) -> UUID:
    """Ask for an invoice to be paid; the effect's id."""
    planner = Planner(bench.stores.effects, lambda _name: ScriptedConnector(bench.script))
    given: Mapping[str, object] = {"invoice": invoice, **arguments}
    return planner.plan("shop", "pay", given).effect.id


def settled(bench: Bench, effect_id: UUID, timeout: float = 20) -> Effect:
    """The effect once it has ended or is uncertain."""

    def look() -> Effect | None:
        effect = bench.stores.effects.get(effect_id)
        return effect if effect.state.final or effect.state is EffectState.UNCERTAIN else None

    return eventually(look, timeout, "the effect to be settled")
