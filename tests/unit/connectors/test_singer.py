"""What a Singer tap is told, and what becomes of what it says."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from leaderjobs.connectors.singer import connector as singer
from leaderjobs.errors import FatalError, LeaderJobsError, TransientError
from leaderjobs.model.batch import Landing
from leaderjobs.testing import Context, Table
from leaderjobs.values import Secret
from tests.support import eventually
from tests.unit.connectors import singer_rig
from tests.unit.connectors.singer_rig import TOKEN, Source, connector


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where taps get their temporary folders."""
    made = tmp_path / "tmp"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.fixture
def source(tmp_path: Path, folder: Path) -> Iterator[Source]:
    yield Source(tmp_path, rows=55)
    eventually(lambda: not list(folder.iterdir()), what="the tap's files are gone")


def synced(
    source: Source, table: Table | None = None, context: Context | None = None, **config: Any
) -> Table:
    with closing(connector(source, **config)) as made:
        table = table or Table(made.streams[0])
        table.sync(made, "orders", context)
    return table


def failed(source: Source, table: Table | None = None, context: Context | None = None, **config: Any) -> str:
    """The sentence that the read ended with."""
    with pytest.raises(LeaderJobsError) as caught:
        synced(source, table, context, **config)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_the_configuration_is_a_file_that_only_we_may_read_and_nothing_else_holds_a_secret(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADERJOBS_CONNECTIONS_CRM_SECRET", TOKEN)
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    options = singer_rig.settings(source, catalog=None)
    with closing(singer_rig.made(options)) as made:
        list(made.read("orders", None, Context()))
    runs = source.runs()
    assert [run["selected"] for run in runs] == [[], ["orders"]]
    for run in runs:
        assert set(run["modes"].values()) == {0o600, 0o700}
        assert TOKEN not in json.dumps([run["words"], run["environment"]])
        assert set(run["environment"]) <= {
            "PATH", "HOME", "LANG", "PWD", "TMPDIR", "https_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
            "http_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "LC_CTYPE",
        }  # fmt: skip
        assert run["environment"]["https_proxy"] == "http://proxy:1"


def test_a_state_is_committed_with_the_rows_before_it_and_given_back_as_it_came(source: Source) -> None:
    table = synced(source, trouble="digits", at=1)
    assert table.landings == [Landing.UPSERT] * 6
    assert table.cursor == {"state": {"bookmarks": {"orders": {"seq": 55}}}}
    source.add(1)
    synced(source, table)
    assert source.runs()[-1]["state"] == {"bookmarks": {"orders": {"seq": 55}}}
    assert table.rows == source.rows()
    assert table.received == 56


def test_a_state_whose_numbers_have_more_digits_than_a_float_keeps_them(source: Source) -> None:
    table = Table(connector(source).streams[0])
    with closing(connector(source, trouble="digits", at=56, state_every=1000)) as made:
        table.commit(next(made.read("orders", None, Context())))
    assert table.cursor is not None
    assert json.loads(str(table.cursor["state_json"]), parse_float=str) == {
        "at": "1.234567890123456789012",
        "n": 12345678901234567890,
    }
    synced(source, table)
    assert source.runs()[-1]["state"]["n"] == 12345678901234567890


def test_rows_without_a_state_go_with_the_one_before_when_a_page_is_full(source: Source) -> None:
    options = singer_rig.settings(source, page_size=20, config={"state_every": 30})
    with closing(singer_rig.made(options)) as made:
        batches = list(made.read("orders", None, Context()))
    assert [batch.rows for batch in batches] == [20, 10, 20, 5]
    cursors = [batch.cursor["state"] for batch in batches]
    seqs = [None if state is None else state["bookmarks"]["orders"]["seq"] for state in cursors]  # type: ignore[index]
    assert seqs == [None, 30, 30, 55]


def test_a_column_that_changes_its_type_in_the_middle_keeps_the_old_and_gets_another(source: Source) -> None:
    table = synced(source, trouble="drift", at=25)
    types = {column.name: column.type.value for column in table.stream.columns}
    assert types == {
        "id": "text", "amount": "numeric", "placed_at": "timestamptz", "paid": "boolean", "lines": "jsonb",
        "amount__text": "text", "colour": "text",
    }  # fmt: skip
    assert table.stream.key == ("id",)
    assert table.rows == source.rows()


def test_records_without_a_key_get_one_and_come_again_as_the_same_row(source: Source) -> None:
    table = synced(source, key=[], state_every=10)
    assert table.stream.key == ("_leaderjobs_id",)
    table.reset()
    synced(source, table, key=[], state_every=25)
    assert len(table.rows) == 55
    plain = [{name: row[name] for name in row if name != "_leaderjobs_id"} for row in table.rows.values()]
    assert sorted(plain, key=str) == sorted(source.rows().values(), key=str)


def test_a_deletion_deletes(source: Source) -> None:
    table = synced(source)
    source.remove(3)
    source.modify(2)
    synced(source, table)
    assert table.rows == source.rows()
    assert len(table.deleted) == 3


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("never", [False, True])
def test_a_full_table_tells_what_is_gone(source: Source, *, early: bool, never: bool) -> None:
    table = Table(connector(source).streams[0])
    for _ in range(3):
        synced(source, table, method="FULL_TABLE", versions=True, early=early, never=never)
        assert table.rows == source.rows()
        source.remove(5)
        source.add(2)
    assert Landing.RESTART not in table.landings
    assert table.landings.count(Landing.SWEEP) == 3


def test_a_full_table_whose_tap_broke_off_goes_on_with_the_same_version(source: Source) -> None:
    table = Table(connector(source).streams[0])
    failed(source, table, method="FULL_TABLE", versions=True, trouble="crash", at=35)
    assert set(table.landings) == {Landing.WALK}
    synced(source, table, method="FULL_TABLE", versions=True)
    assert table.rows == source.rows()
    assert table.received == 55


def test_a_full_table_without_versions_that_broke_off_begins_again(source: Source) -> None:
    table = synced(source, method="FULL_TABLE")
    failed(source, table, method="FULL_TABLE", trouble="crash", at=35)
    # Met by the walk that broke off, and gone when the next one comes.
    source.remove(5)
    synced(source, table, method="FULL_TABLE")
    assert table.rows == source.rows()
    assert table.landings.count(Landing.RESTART) == 1


def test_a_full_table_that_ends_badly_deletes_nothing(source: Source) -> None:
    table = synced(source, method="FULL_TABLE")
    rows = dict(table.rows)
    failed(source, table, method="FULL_TABLE", trouble="crash", at=1)
    assert table.rows == rows


def test_an_empty_table_is_empty_and_one_that_is_not_spoken_of_is_left(source: Source) -> None:
    table = synced(source, method="FULL_TABLE")
    source.remove(55)
    synced(source, table, method="FULL_TABLE", schema=False)
    assert len(table.rows) == 55
    synced(source, table, method="FULL_TABLE")
    assert table.rows == {}


def test_a_tap_that_fails_is_tried_again_with_its_last_word_and_without_its_secrets(source: Source) -> None:
    context = Context()
    table = Table(connector(source).streams[0])
    sentence = failed(source, table, context, trouble="crash", at=25)
    assert sentence.startswith("TransientError: ")
    assert sentence.endswith(" ended with 3: Traceback: no luck with ***")
    assert context.lines == ["Traceback: no luck with ***"]
    assert len(table.rows) == 20


def test_what_a_tap_says_is_bounded_and_holds_no_part_of_a_secret(source: Source) -> None:
    context, secret = Context(), "-".join(map(str, range(40)))
    secrets = {"token": Secret(literal=TOKEN), "long": Secret(literal=secret)}
    options = singer_rig.settings(source, secrets=secrets, config={"trouble": "chatter"})
    with closing(singer_rig.made(options)) as made:
        list(made.read("orders", None, context))
    assert len(context.lines) == 2001
    assert "the others are left out" in context.lines[-1]
    assert max(map(len, context.lines)) <= 500
    # Read to a bound, which falls into the middle of a secret.
    assert set(context.lines[0]) == {"*"}


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ("giant", "a line of more than 16777216 bytes"),
        ("print", "line 28 of the tap's output is not JSON .* 15 bytes and does not begin like a message$"),
        ("nan", 'line 28 of the tap\'s output is not JSON .*begins with {"type": "RECORD"$'),
        ("list", "line 28 of the tap's output has a record that is no object"),
        ("untyped", "line 28 of the tap's output is no Singer message"),
        ("batch", "take batch_config out of its config"),
        ("states", "the tap's state has 70010 bytes"),
    ],
)
def test_output_out_of_contract_is_fatal_and_shows_no_value(
    source: Source, trouble: str, sentence: str
) -> None:
    table = Table(connector(source).streams[0])
    with pytest.raises(FatalError, match=sentence) as caught:
        synced(source, table, trouble=trouble, at=25)
    assert "secret-value" not in str(caught.value)
    assert len(table.rows) == 20


def test_records_before_their_schema_are_fatal(source: Source) -> None:
    assert "a RECORD before its SCHEMA" in failed(source, schema=False)


def test_messages_of_no_known_type_and_empty_lines_are_passed_over(source: Source) -> None:
    assert synced(source, trouble="unknown", at=25).rows == source.rows()


def test_check_passes_with_good_credentials_and_says_what_the_tap_says_of_bad_ones(source: Source) -> None:
    no_catalog = pytest.raises(FatalError, match="is no Singer catalog")
    with closing(connector(source, trouble="garbled")) as made, no_catalog:
        made.check()
    with closing(connector(source)) as made:
        made.check()
    options = singer_rig.settings(source, secrets={"token": Secret(literal="wrong-one")})
    with (
        closing(singer_rig.made(options)) as made,
        pytest.raises(TransientError, match=r"ended with 1: CRITICAL 401: the token \*\*\* is not"),
    ):
        made.check()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"command": "/nonexistent/tap"}, "is not an executable file on this machine"),
        ({"command": str(singer_rig.TAP)}, "is not an executable file on this machine"),
        (
            {"streams": ("orders", "invoices"), "catalog": None},
            "no stream invoices; it has: orders, shops, empty",
        ),
        ({"also_select": ("people",)}, "no stream people"),
        ({"catalog": "/nonexistent.json"}, "cannot be read: No such file"),
        ({"secrets": {"token": Secret(env="NOT_SET_ANYWHERE")}}, "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_what_cannot_work_is_fatal(source: Source, other: dict[str, Any], sentence: str) -> None:
    with (
        closing(singer_rig.made(singer_rig.settings(source, **other))) as made,
        pytest.raises(FatalError, match=sentence),
    ):
        list(made.read("orders", None, Context()))


def test_an_executable_whose_interpreter_is_missing_is_fatal(source: Source, tmp_path: Path) -> None:
    broken = tmp_path / "tap"
    broken.write_text("#!/nonexistent/python\n")
    broken.chmod(0o755)
    with (
        closing(singer_rig.made(singer_rig.settings(source, command=str(broken)))) as made,
        pytest.raises(FatalError, match=r"ended with 12[67]"),
    ):
        list(made.read("orders", None, Context()))


def test_a_catalog_file_takes_the_place_of_discovery_and_parents_are_selected(source: Source) -> None:
    table = Table(connector(source).streams[0])
    with closing(singer_rig.made(singer_rig.settings(source, also_select=("shops",)))) as made:
        table.sync(made, "orders")
    assert [(run["discover"], run["selected"]) for run in source.runs()] == [(False, ["orders", "shops"])]
    assert table.rows == source.rows()


def test_discovery_is_asked_for_once_and_again_where_the_settings_are_others_or_time_has_passed(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def discoveries(**other: Any) -> int:
        before = len(source.runs())
        options = singer_rig.settings(source, catalog=None, **other)
        with closing(singer_rig.made(options)) as made:
            assert sum(batch.rows for batch in made.read("orders", None, Context())) == 55
        return [run["discover"] for run in source.runs()[before:]].count(True)

    assert discoveries() == 1
    assert discoveries() == 0
    assert discoveries(page_size=50) == 1
    monkeypatch.setattr(singer, "CATALOG_AGE", timedelta(0))
    assert discoveries(page_size=50) == 1


def test_a_marker_that_it_never_wrote_is_refused(source: Source) -> None:
    for cursor in ({"made_up": 1}, {"state": {}, "version": "x"}, {"state_json": 5}):
        with (
            closing(connector(source)) as made,
            pytest.raises(FatalError, match="not the state of a Singer tap"),
        ):
            list(made.read("orders", cursor, Context()))
