"""Checks of I2 over a history: an effect is sent again only where that cannot act twice, and is never lost.

What the ledger says is held against what the proxies saw leave and the provider's book says happened. A run
tells by its first entry (What.RUN) under `rules` what may be relied on for each operation, see `Rules`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.cluster.history import Entry, Violation, What

ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})
TURNED_AWAY: Final = range(400, 500)
"""Statuses of an answer that is no replay, and says that this send has not acted."""
DAY: Final = 23 * 3600.0
THINGS: Final = ("invoice", "reference", "payment_intent", "charge")
"""Arguments that name what an effect is done to, and by which the book knows it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be relied on at a provider; Stripe's unless a run says otherwise."""

    window: float = DAY
    """Seconds that the same key may be sent again; 0: keys are not honoured."""
    looks_up: bool = True
    absent_after: float = 0.0
    """Seconds after which what a look-up does not show never happens; 0: never."""


@dataclass
class Told:
    """All that a history has of one effect."""

    id: str
    states: list[Entry] = field(default_factory=list)
    stamps: list[Entry] = field(default_factory=list)
    evidence: list[Entry] = field(default_factory=list)
    sends: list[Entry] = field(default_factory=list)
    answers: list[Entry] = field(default_factory=list)
    payments: list[Entry] = field(default_factory=list)
    jobs: list[Entry] = field(default_factory=list)
    aged: list[Entry] = field(default_factory=list)
    rules: Rules = Rules()

    def between(self, earlier: Entry, later: Entry) -> float:
        """Seconds by the ledger's clock, which a test may have put forward in between."""
        aged = sum(entry.fact("seconds") for entry in self.aged if earlier.at < entry.at < later.at)
        return later.at - earlier.at + float(aged)

    @property
    def state(self) -> str:
        """In which the history leaves it."""
        return str(self.states[-1].fact("state")) if self.states else ""

    @property
    def planned(self) -> dict[str, Any]:
        """What was asked for."""
        return self.states[0].facts if self.states else {}

    @property
    def thing(self) -> str:
        """What it is done to; empty where only its key tells."""
        arguments = self.planned.get("arguments") or {}
        return next((str(arguments[name]) for name in THINGS if name in arguments), "")

    @property
    def story(self) -> list[Entry]:
        """Everything, but for what its job did meanwhile."""
        return [
            *self.states,
            *self.stamps,
            *self.evidence,
            *self.sends,
            *self.answers,
            *self.payments,
            *self.aged,
        ]


def effects(entries: Sequence[Entry]) -> dict[str, Told]:
    """Every effect of a history; what carries no key belongs to the effect with that very body or thing."""
    found: dict[str, Told] = {}
    bodies: dict[object, str] = {}
    things: dict[object, str] = {}
    rules: Mapping[str, Any] = next((entry.facts for entry in entries if entry.what is What.RUN), {}).get(
        "rules", {}
    )
    for entry in entries:
        if entry.what is What.EFFECT and entry.fact("was") == "":
            told = found.setdefault(entry.effect, Told(entry.effect))
            told.states.append(entry)
            told.rules = Rules(**rules.get(entry.fact("operation"), {}))
            bodies[entry.fact("path"), entry.fact("body")] = entry.effect
            if told.thing:
                things[told.thing] = entry.effect
    for entry in entries:
        by_body = bodies.get((entry.fact("path"), entry.fact("body")), "")
        owner = next((each for each in (entry.effect, by_body) if each in found), "")
        if entry.what is What.PAYMENT and not owner:
            owner = things.get(entry.fact("thing"), "")
        if owner:
            _put(found[owner], entry)
    return found


def _put(told: Told, entry: Entry) -> None:
    match entry.what:
        case What.EFFECT if entry.fact("was") != "":
            told.states.append(entry)
        case What.STAMP:
            told.stamps.append(entry)
        case What.EVIDENCE:
            told.evidence.append(entry)
        case What.SEND:
            told.sends.append(entry)
        case What.ANSWER:
            told.answers.append(entry)
        case What.PAYMENT:
            told.payments.append(entry)
        case What.JOB:
            told.jobs.append(entry)
        case What.AGED:
            told.aged.append(entry)
        case _:
            pass


def check_once(entries: Sequence[Entry]) -> None:
    """What succeeded has happened once, what failed has not, and nothing happened twice or unasked."""
    asked: set[int] = set()
    for told in effects(entries).values():
        asked.update(id(payment) for payment in told.payments)
        happened, name = len(told.payments), told.thing or told.id
        if happened > 1:
            raise Violation("I2", f"{name} took effect {happened} times", told.story)
        if told.state == "succeeded" and not happened:
            raise Violation("I2", f"{name} is succeeded, and never happened", told.story)
        if told.state in {"failed", "cancelled"} and happened:
            raise Violation("I2", f"{name} is {told.state}, and has happened", told.story)
    for entry in entries:
        if entry.what is What.PAYMENT and id(entry) not in asked and entry.fact("by") != "other":
            raise Violation("I2", f"{entry.fact('thing')} has happened, and nobody asked for it", [entry])
    _check_paid_once(entries)


def _check_paid_once(entries: Sequence[Entry]) -> None:
    """Whatever asked for it, and under whatever key: no invoice is paid twice."""
    paid: dict[object, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.what is What.PAYMENT and entry.fact("kind") == "payment":
            paid[entry.fact("thing")].append(entry)
    for thing, payments in paid.items():
        if len(payments) > 1:
            raise Violation("I2", f"{thing} was paid {len(payments)} times", payments)


def check_stamps(entries: Sequence[Entry]) -> None:
    """Every send that left a member was stamped by its term before, once, and all of an effect are alike."""
    for told in effects(entries).values():
        stamps = {stamp.n: stamp for stamp in told.stamps}
        used: dict[int, Entry] = {}
        for send in told.sends:
            stamp = stamps.get(send.n)
            if stamp is None or stamp.term != send.term:
                raise Violation("I2", f"send {send.n} left without a stamp of its term", told.story)
            if stamp.at > send.at:
                late = 1000 * (stamp.at - send.at)
                raise Violation("I2", f"send {send.n} left {late:.1f} ms before its stamp", told.story)
            if send.n in used:
                raise Violation("I2", f"one stamp let two requests out (send {send.n})", told.story)
            used[send.n] = send
            for name in ("path", "body"):
                if send.fact(name) != told.planned.get(name):
                    raise Violation("I2", f"send {send.n} has another {name} than planned", told.story)
            if send.fact("key") != told.sends[0].fact("key"):
                raise Violation("I2", f"send {send.n} has another key than the first", told.story)


def check_bases(entries: Sequence[Entry]) -> None:
    """Every stamp after the first names a reason, and what the proxies saw does not contradict it."""
    for told in effects(entries).values():
        for stamp in told.stamps:
            wrong = _baseless(told, stamp)
            if wrong:
                raise Violation(
                    "I2", f"send {stamp.n} was stamped as {stamp.fact('basis')}: {wrong}", told.story
                )


def _baseless(told: Told, stamp: Entry) -> str:
    """What is wrong with a stamp's reason; empty when nothing is."""
    earlier = [each for each in told.stamps if each.n < stamp.n]
    basis = stamp.fact("basis")
    if basis == "first":
        return "it is not the first" if earlier else ""
    if not earlier:
        return "nothing was sent before"
    doubtful = [each for each in earlier if not _turned_away(told, each.n)]
    if not doubtful:
        return ""
    match basis:
        case "never_acted":
            return f"send {doubtful[0].n} left, and was not turned away"
        case "key":
            return _out_of_window(told, doubtful[0], stamp)
        case _:
            return _too_early(told, doubtful[-1], stamp)


def _out_of_window(told: Told, first: Entry, stamp: Entry) -> str:
    if not told.rules.window:
        return "the provider does not honour keys"
    return "the window was over" if told.between(first, stamp) > told.rules.window else ""


def _too_early(told: Told, last: Entry, stamp: Entry) -> str:
    if not told.rules.absent_after:
        return "what is not seen may still appear"
    passed = told.between(last, stamp)
    return f"only {passed:.1f} s had passed" if passed < told.rules.absent_after else ""


def _turned_away(told: Told, n: int) -> bool:
    """Whether a send never left, or an answer to it said that it did nothing."""
    if not any(send.n == n for send in told.sends):
        return True
    answers = [answer for answer in told.answers if answer.n == n]
    return any(answer.fact("status") in TURNED_AWAY and not answer.fact("replayed") for answer in answers)


def check_settled(entries: Sequence[Entry]) -> None:
    """When all is over every effect is at an end, or uncertain for a reason that the history confirms."""
    for told in effects(entries).values():
        if told.state in ENDED:
            continue
        if told.state != "uncertain":
            raise Violation("I2", f"{told.thing or told.id} was left {told.state}", [*told.story, *told.jobs])
        wrong = _unfounded(told)
        if wrong:
            raise Violation("I2", f"{told.thing or told.id} is uncertain, but {wrong}", told.story)


def _unfounded(told: Told) -> str:
    """Why an effect should not be uncertain; empty when it should."""
    if told.payments and told.rules.looks_up:
        return "it has happened, and a look-up shows that"
    last = told.states[-1]
    match last.fact("code"):
        case "stuck":
            stuck = any(_is_stuck(answer) for answer in told.answers)
            return "" if stuck else "the provider never repeated an error that it had stored"
        case "unanswered":
            if any(_conclusive(answer) for answer in told.answers):
                return "it was answered"
            spent = told.stamps and told.between(told.stamps[0], last) > told.rules.window
            return "" if spent else "the same key could have been sent again"
        case "pending":
            return "it could have been looked up" if told.rules.looks_up else ""
        case code:
            return f"its reason {code!r} is not known"


def _is_stuck(answer: Entry) -> bool:
    return answer.fact("status") >= 500 and bool(
        answer.fact("replayed") or answer.fact("should_retry") == "false"
    )


def _conclusive(answer: Entry) -> bool:
    """Whether an answer told for good what became of its effect."""
    status = answer.fact("status")
    return bool(answer.fact("whole")) and (
        200 <= status < 300 or bool(status == 402 and answer.fact("replayed"))
    )


def check_jobs_of_effects(entries: Sequence[Entry]) -> None:
    """An effect and its job end alike."""
    ends = {
        "succeeded": "completed",
        "failed": "discarded",
        "cancelled": "cancelled",
        "uncertain": "uncertain",
    }
    for told in effects(entries).values():
        job = str(told.jobs[-1].fact("state")) if told.jobs else ""
        if told.state in ends and job and job != ends[told.state]:
            raise Violation(
                "I2", f"{told.thing or told.id} is {told.state}, its job {job}", [*told.story, *told.jobs]
            )


def tally(entries: Iterable[Entry]) -> dict[str, int]:
    """How many effects are in which state."""
    counts: dict[str, int] = {}
    for told in effects(list(entries)).values():
        counts[told.state] = counts.get(told.state, 0) + 1
    return dict(sorted(counts.items()))


def evidence_of_the_deposed(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Evidence that came from a term which had a successor by then; the ledger takes it all the same."""
    raised = {entry.term: entry for entry in entries if entry.what is What.RAISE}
    for entry in entries:
        successor = raised.get(entry.term + 1)
        if entry.what is What.EVIDENCE and successor is not None and entry.id > successor.id:
            yield entry
