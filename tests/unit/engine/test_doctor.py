from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

from leaderjobs.engine.doctor import Check, Look, examine, failed, ok, skipped, warning
from leaderjobs.errors import StoreUnavailable
from leaderjobs.model.finding import Examination, Finding, FindingVerdict

BRIEF = timedelta(milliseconds=200)


def run(*checks: Check, patience: timedelta = timedelta(seconds=20)) -> Examination:
    return examine("acme", checks, hide=lambda text: text.replace("sesame", "***"), patience=patience)


def says(*findings: Finding) -> Look:
    return lambda: findings


def verdicts(found: Examination) -> list[tuple[str, str]]:
    return [(each.check, each.verdict.value) for each in found.findings]


def test_findings_come_in_the_order_of_the_checks() -> None:
    first = threading.Event()

    def slow() -> Iterator[Finding]:
        assert first.wait(10)
        yield ok("a", "at last")

    def quick() -> Iterator[Finding]:
        yield ok("b", "at once")
        first.set()
        yield warning("b2", "again", "mend it")

    assert verdicts(run(Check("a", slow), Check("b", quick))) == [("a", "ok"), ("b", "ok"), ("b2", "warning")]


def test_a_check_that_breaks_harms_no_other() -> None:
    def unavailable() -> list[Finding]:
        raise StoreUnavailable("Postgres gave up: sesame")

    def buggy() -> Iterator[Finding]:
        yield ok("buggy", "so far")
        raise KeyError("sesame")

    found = run(Check("a", unavailable), Check("buggy", buggy), Check("c", says(ok("c", "fine"))))
    assert verdicts(found) == [("a", "failed"), ("buggy", "ok"), ("buggy", "failed"), ("c", "ok")]
    assert found.findings[0].message == "Postgres gave up: ***"
    assert found.findings[2].message == "the check itself failed: KeyError: '***'"
    assert found.failed


def test_a_check_that_hangs_is_told_after_the_patience_with_what_it_had_found() -> None:
    forever = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("a", "first")
        forever.wait(60)

    found = run(
        Check("a", hangs),
        Check("b", says(ok("b", "fine"))),
        Check("c", says(ok("c", "fine")), ("a",)),
        patience=BRIEF,
    )
    assert verdicts(found) == [("a", "ok"), ("a", "failed"), ("b", "ok"), ("c", "skipped")]
    assert found.findings[1].message == "it had no answer within 0.2 s"
    forever.set()


def test_more_checks_than_places_all_run() -> None:
    checks = [Check(f"c{n}", says(ok(f"c{n}", "fine")), ("c0",) if n else ()) for n in range(40)]
    assert {verdict for _, verdict in verdicts(run(*checks))} == {"ok"}


def test_what_cannot_be_looked_at_is_skipped_with_its_cause() -> None:
    found = run(
        Check("a", says(failed("a", "down", "start it"))),
        Check("b", says(ok("b", "never seen")), ("a",)),
        Check("c", says(ok("c", "never seen")), ("b",)),
        Check("d", says(warning("d", "odd", "look"))),
        Check("e", says(ok("e", "fine")), ("d",)),
    )
    assert verdicts(found) == [
        ("a", "failed"),
        ("b", "skipped"),
        ("c", "skipped"),
        ("d", "warning"),
        ("e", "ok"),
    ]
    assert [each.message for each in found.findings[1:3]] == ["needs a", "needs b"]


def test_warnings_alone_are_no_failure() -> None:
    assert not run(Check("a", says(warning("a", "odd", "look"), skipped("b", "no")))).failed
    assert run(Check("a", says(ok("a", "fine"), failed("b", "down", "start it")))).failed


def test_nothing_secret_passes() -> None:
    (found,) = run(
        Check("a", says(Finding("a", FindingVerdict.FAILED, "at sesame", "change sesame")))
    ).findings
    assert (found.message, found.remedy) == ("at ***", "change ***")
