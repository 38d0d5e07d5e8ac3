"""The suite passes a connector that keeps the contract, and each of its tests fails for one that breaks it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import leaderjobs.testing
from leaderjobs.errors import LeaderJobsError
from leaderjobs.testing import ConnectorContract, Provider, Trouble
from tests.unit.testing.made_up import MadeUpProvider


class TestMadeUp(ConnectorContract):
    def provider(self) -> Provider:
        return MadeUpProvider()


class Buggy(ConnectorContract):
    def __init__(self, bug: str) -> None:
        self.bug = bug

    def provider(self) -> Provider:
        return MadeUpProvider(self.bug)


@contextmanager
def found_out() -> Iterator[None]:
    """A failure of any kind that a test can show."""
    with pytest.raises((AssertionError, LeaderJobsError, pytest.fail.Exception)):
        yield


@pytest.mark.parametrize(
    ("bug", "test", "arguments"),
    [
        ("gap", "reading_to_the_end_gives_the_providers_rows", {}),
        ("never swept", "a_second_read_brings_what_has_changed_and_a_third_nothing", {}),
        ("never swept", "changes_between_pages_are_in_the_table_in_the_end", {}),
        (
            "first page twice",
            "another_process_goes_on_from_any_marker_without_a_gap_or_a_page_twice",
            {"committed": 3, "ahead": 0},
        ),
        ("first page twice", "a_death_after_every_single_page_costs_no_row_and_no_extra_page", {}),
        ("window ignored", "a_window_brings_its_rows_and_leaves_the_others_alone", {}),
        ("quota later", "no_request_leaves_before_its_units_are_counted", {}),
        ("miscounted", "every_stream_comes_in_batches_as_promised_with_small_cursors", {}),
        ("large cursor", "every_stream_comes_in_batches_as_promised_with_small_cursors", {}),
        ("float", "numbers_keep_every_digit", {}),
        ("float", "unknown_members_and_other_types_are_kept_as_they_come", {}),
        ("secret in cursor", "no_secret_is_in_a_cursor_a_body_or_a_log_line", {}),
        ("log", "no_secret_is_in_a_cursor_a_body_or_a_log_line", {}),
        ("secret in repr", "no_secret_is_in_a_cursor_a_body_or_a_log_line", {}),
        ("dear check", "check_is_one_request_that_passes_on_a_healthy_connection", {}),
        ("any stream", "a_stream_that_does_not_exist_is_refused_with_those_there_are", {}),
        ("any cursor", "a_cursor_that_it_never_wrote_is_refused", {}),
        ("no check", "a_term_that_is_over_sends_no_further_request", {}),
        ("close does nothing", "closed_twice_and_then_read_it_is_interrupted_and_sends_nothing", {}),
        ("endless", "equal_page_tokens_stop_with_an_error", {}),
        ("older wins", "a_page_with_one_id_twice_keeps_the_later_one", {}),
        ("empty is the end", "an_empty_page_is_not_the_end", {}),
        ("gap", "any_mixture_of_passing_troubles_ends_with_the_providers_rows", {"seed": 0}),
        ("gap", "trouble_in_the_middle_of_a_read_costs_no_row", {"trouble": Trouble.RESET}),
    ],
)
def test_a_bug_is_found_by_the_test_that_is_about_it(bug: str, test: str, arguments: dict[str, Any]) -> None:
    suite = Buggy(bug)
    with found_out(), suite.provider() as running:
        getattr(suite, f"test_{test}")(running, **arguments)


def test_a_secret_in_an_error_is_found(caplog: pytest.LogCaptureFixture) -> None:
    suite = Buggy("secret in error")
    with pytest.raises(AssertionError, match="s3cret"), suite.provider() as running:
        suite.test_each_trouble_ends_the_read_with_its_error_and_no_secret_anywhere(
            running, Trouble.REDIRECT, LeaderJobsError.__subclasses__()[0], caplog
        )


def test_without_pytest_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(ImportError, match=r"leaderjobs.testing needs pytest, which .*pip install pytest"):
        runpy.run_path(leaderjobs.testing.__file__)


def test_a_suite_without_a_provider_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match=r"ConnectorContract: define provider\(\)"):
        ConnectorContract().provider()
