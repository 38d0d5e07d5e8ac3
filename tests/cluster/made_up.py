"""Histories that never happened, for the tests of those who judge histories."""

from __future__ import annotations

from typing import Any

from tests.cluster.history import Entry, What

E = "11111111-1111-1111-1111-111111111111"
BLIND: dict[str, Any] = {"pay_invoice": {"window": 0.0, "looks_up": False}}
SEEN: dict[str, Any] = {"pay_invoice": {"window": 0.0, "absent_after": 5.0}}
"""Rules of providers that promise little."""


class Tale:
    """Entries one second apart, in the order in which they are told."""

    def __init__(self, rules: dict[str, Any] | None = None) -> None:
        """Begins with the run's own entry."""
        self.entries: list[Entry] = []
        self._ids = 0
        self.add("rig", What.RUN, rules=rules or {})

    def add(
        self,
        who: str,
        what: What,
        *,
        term: int = 0,
        effect: str = "",
        job: int = 0,
        stream: str = "",
        after: float = 1.0,
        **facts: Any,
    ) -> Tale:
        """One more entry, `after` so many seconds."""
        at = self.entries[-1].at + after if self.entries else 1000.0
        if who == "postgres" and what is not What.PAGES:
            self._ids += 1
            number = self._ids
        else:
            number = 0
        self.entries.append(
            Entry(
                at=at,
                who=who,
                what=what,
                id=number,
                term=term,
                effect=effect,
                job=job,
                stream=stream,
                facts=facts,
            )
        )
        return self

    # -- what postgres tells -------------------------------------------------------------------------------

    def raises(self, term: int) -> Tale:
        return self.add("postgres", What.RAISE, term=term, member="abc"[term % 3])

    def batch(self, term: int, sequence: int, stream: str = "household.transactions") -> Tale:
        return self.add("postgres", What.BATCH, term=term, stream=stream, sequence=sequence)

    def job(
        self, state: str, attempt: int, *, was: str = "", term: int = 0, job: int = 1, effect: str = ""
    ) -> Tale:
        by = term if state == "running" else 0
        return self.add(
            "postgres",
            What.JOB,
            term=term,
            job=job,
            effect=effect,
            was=was,
            state=state,
            attempt=attempt,
            by=by,
        )

    def planned(self, effect: str = E, invoice: str = "in_1") -> Tale:
        arguments = {"invoice": invoice, "amount": "1200"}
        return self.add(
            "postgres",
            What.EFFECT,
            effect=effect,
            was="",
            state="planned",
            operation="pay_invoice",
            arguments=arguments,
            path=f"/v1/invoices/{invoice}/pay",
            body="b1",
        )

    def settled(
        self, state: str, term: int = 1, *, was: str = "sending", code: str = "", effect: str = E
    ) -> Tale:
        return self.add(
            "postgres", What.EFFECT, term=term, effect=effect, was=was, state=state, code=code, reason="..."
        )

    def stamp(self, n: int, term: int = 1, basis: str = "first", effect: str = E, after: float = 1.0) -> Tale:
        return self.add(
            "postgres", What.STAMP, term=term, effect=effect, n=n, basis=basis, member="a", after=after
        )

    def evidence(self, n: int, told: str = "done", term: int = 1, effect: str = E) -> Tale:
        return self.add("postgres", What.EVIDENCE, term=term, effect=effect, n=n, told=told)

    # -- what the others tell ------------------------------------------------------------------------------

    def send(self, n: int, term: int = 1, effect: str = E, after: float = 1.0, **other: Any) -> Tale:
        facts = {"n": n, "path": "/v1/invoices/in_1/pay", "key": f"lj-{effect}", "body": "b1", **other}
        return self.add("wire a", What.SEND, term=term, effect=effect, after=after, **facts)

    def answer(
        self, n: int, status: int = 200, *, term: int = 1, replayed: bool = False, effect: str = E
    ) -> Tale:
        facts: dict[str, Any] = {
            "n": n,
            "status": status,
            "replayed": replayed,
            "whole": True,
            "should_retry": None,
        }
        return self.add("wire a", What.ANSWER, term=term, effect=effect, **facts)

    def payment(self, invoice: str = "in_1", effect: str = E, by: str = "api") -> Tale:
        return self.add("provider", What.PAYMENT, effect=effect, kind="payment", thing=invoice, by=by)


def paid_once() -> Tale:
    """One invoice, one term, one send, and nothing goes wrong."""
    return Tale().raises(1).planned().stamp(1).send(1).payment().answer(1).evidence(1).settled("succeeded")


def paid_after_a_fall() -> Tale:
    """The first leader falls before it hears the answer; the second sends the same again."""
    return (
        Tale()
        .raises(1)
        .planned()
        .stamp(1)
        .send(1)
        .payment()
        .raises(2)
        .stamp(2, 2, "key")
        .send(2, 2)
        .answer(2, term=2, replayed=True)
        .evidence(2, term=2)
        .settled("succeeded", 2)
    )
