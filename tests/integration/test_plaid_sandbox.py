"""The stand-in itself: what tests conclude from it is worth as much as it is right."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from leaderjobs.sandbox.faults import Fault, FaultKind, Faults
from leaderjobs.sandbox.plaid.sandbox import PlaidSandbox
from tests.support import eventually


class Client:
    """Asks without any connector between."""

    def __init__(self, url: str, client_id: str, secret: str, access_token: str) -> None:
        self.url, self.access_token = url, access_token
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update({"PLAID-CLIENT-ID": client_id, "PLAID-SECRET": secret})

    def post(self, path: str, **fields: object) -> tuple[int, dict[str, Any]]:
        answer = self.session.post(self.url + path, json=fields, timeout=10)
        return answer.status_code, answer.json()

    def sync(self, **fields: object) -> tuple[int, dict[str, Any]]:
        return self.post("/transactions/sync", access_token=self.access_token, **fields)

    def get(self, path: str) -> dict[str, Any]:
        return dict(self.session.get(self.url + path, timeout=10).json())


@pytest.fixture
def sandbox() -> Iterator[PlaidSandbox]:
    with PlaidSandbox(transactions=25) as running:
        yield running


@pytest.fixture
def client(sandbox: PlaidSandbox) -> Iterator[Client]:
    made = Client(sandbox.url, sandbox.client_id, sandbox.secret, sandbox.access_token)
    with made.session:
        yield made


def test_the_same_seed_gives_the_same_provider_and_another_seed_another() -> None:
    one, same, other = (PlaidSandbox(seed=seed, transactions=5) for seed in (1, 1, 2))
    try:
        assert (one.secret, one.access_token, one.rows_json()) == (
            same.secret,
            same.access_token,
            same.rows_json(),
        )
        assert one.access_token != other.access_token
        assert not set(one.rows()) & set(other.rows())
    finally:
        for sandbox in (one, same, other):
            sandbox.stop()


def test_rows_are_as_large_as_asked_for(client: Client) -> None:
    with PlaidSandbox(transactions=50, row_bytes=2000) as large:
        assert {len(row) for row in _raw_rows(large)} == {2000}
    assert 1350 < sum(map(len, _raw_rows_of(client))) / 25 < 1500


def test_it_listens_on_this_machine_only(sandbox: PlaidSandbox) -> None:
    assert sandbox.url.startswith("http://127.0.0.1:")
    assert sandbox._server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/transactions/sync", {}, "MISSING_FIELDS"),
        ("/transactions/sync", {"access_token": "nobody's"}, "INVALID_ACCESS_TOKEN"),
        ("/transactions/sync", {"access_token": None, "color": 1}, "UNKNOWN_FIELDS"),
        ("/transactions/sync", {"count": 0}, "INVALID_FIELD"),
        ("/transactions/sync", {"count": 501}, "INVALID_FIELD"),
        ("/transactions/sync", {"count": "10"}, "INVALID_FIELD"),
        ("/transactions/sync", {"cursor": "made up"}, "INVALID_FIELD"),
        ("/transactions/sync", {"options": {"days_requested": 731}}, "INVALID_FIELD"),
        ("/transactions/sync", {"options": {"colour": 1}}, "UNKNOWN_FIELDS"),
        (
            "/sandbox/public_token/create",
            {"institution_id": "ins_1", "initial_products": []},
            "INVALID_FIELD",
        ),
        ("/item/public_token/exchange", {"public_token": "nobody's"}, "INVALID_PUBLIC_TOKEN"),
        ("/nothing/here", {}, "NOT_FOUND"),
    ],
)
def test_a_wrong_request_is_answered_as_plaid_does(
    client: Client, path: str, fields: dict[str, object], code: str
) -> None:
    token = {"access_token": client.access_token} if "sync" in path and fields else {}
    status, said = client.post(path, **(token | fields))
    assert status in (400, 404)
    assert said["error_code"] == code
    assert set(said) == {"error_type", "error_code", "error_message", "display_message", "request_id"}


def test_wrong_keys_and_a_body_that_is_not_json_are_refused(client: Client) -> None:
    assert (
        client.session.post(f"{client.url}/item/get", data=b"{", timeout=10).json()["error_code"]
        == "INVALID_BODY"
    )
    client.session.headers["PLAID-SECRET"] = "wrong"
    assert client.sync()[1]["error_code"] == "INVALID_API_KEYS"


def test_keys_may_also_come_in_the_body(client: Client, sandbox: PlaidSandbox) -> None:
    for name in ("PLAID-CLIENT-ID", "PLAID-SECRET"):
        del client.session.headers[name]
    assert client.sync(client_id=sandbox.client_id, secret=sandbox.secret)[0] == 200


def test_a_cursor_brings_what_happened_after_it_under_the_right_name(
    client: Client, sandbox: PlaidSandbox
) -> None:
    cursor = client.sync(count=500)[1]["next_cursor"]
    (new, _) = sandbox.add(2)
    (gone,) = sandbox.remove(1)
    (changed, *_) = sandbox.modify(5)
    said = client.sync(cursor=cursor, count=500)[1]
    known = {row["transaction_id"] for row in said["added"]}
    assert new in known | {gone}
    assert changed in {row["transaction_id"] for row in said["modified"] + said["added"]}
    assert {row["transaction_id"] for row in said["removed"]} == ({gone} if gone not in known else set())
    assert client.sync(cursor=said["next_cursor"])[1]["next_cursor"] == said["next_cursor"]


def test_what_was_added_and_removed_within_one_update_is_never_mentioned(
    client: Client, sandbox: PlaidSandbox
) -> None:
    cursor = client.sync(count=500)[1]["next_cursor"]
    sandbox.remove(25)
    sandbox.add(4)
    sandbox.remove(4)
    said = client.sync(cursor=cursor, count=500)[1]
    assert (len(said["added"]), len(said["modified"]), len(said["removed"])) == (0, 0, 25)


def test_a_page_asked_for_again_is_the_same_and_counted(client: Client, sandbox: PlaidSandbox) -> None:
    cursor = client.sync(count=10)[1]["next_cursor"]
    first, again = (client.sync(cursor=cursor, count=10)[1] for _ in range(2))
    del first["request_id"], again["request_id"]
    assert first == again
    state = sandbox.state()
    assert (state["pages_answered"], state["pages_asked_twice"], state["distinct_cursors"]) == (3, 1, 2)


def test_asking_up_to_date_again_is_no_page_asked_twice(client: Client, sandbox: PlaidSandbox) -> None:
    cursor = client.sync(count=500)[1]["next_cursor"]
    for _ in range(3):
        client.sync(cursor=cursor)
    assert sandbox.state()["pages_asked_twice"] == 0


@pytest.mark.parametrize("change", ["add", "modify", "remove", "post_pending"])
def test_data_that_change_in_the_middle_of_an_update_end_it(
    client: Client, sandbox: PlaidSandbox, change: str
) -> None:
    cursor = client.sync(count=10)[1]["next_cursor"]
    getattr(sandbox, change)(1)
    status, said = client.sync(cursor=cursor, count=10)
    assert (status, said["error_type"]) == (400, "TRANSACTIONS_ERROR")
    assert said["error_code"] == "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"
    assert client.sync(count=10)[0] == 200


def test_reset_login_shows_in_the_item_and_blocks_its_data(client: Client) -> None:
    assert (
        client.post("/sandbox/item/reset_login", access_token=client.access_token)[1]["reset_login"] is True
    )
    assert client.sync()[1]["error_code"] == "ITEM_LOGIN_REQUIRED"
    status, said = client.post("/item/get", access_token=client.access_token)
    assert (status, said["item"]["error"]["error_code"]) == (200, "ITEM_LOGIN_REQUIRED")


def test_a_fault_passes_over_what_it_should_and_strikes_as_often_as_it_should() -> None:
    faults = Faults(0)
    faults.replace(Fault(kind=FaultKind.RESET, path="/a", skip=1, count=2))
    assert [len(faults.draw(path)) for path in ("/a", "/b", "/a", "/a/b", "/a")] == [0, 0, 1, 1, 0]
    assert faults.struck() == 2


def test_faults_by_chance_are_the_same_for_the_same_seed() -> None:
    def strikes(seed: int) -> list[int]:
        faults = Faults(seed)
        faults.replace(Fault(kind=FaultKind.RESET, probability=0.3))
        return [len(faults.draw("/")) for _ in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90


def test_stop_ends_what_hangs(sandbox: PlaidSandbox) -> None:
    sandbox.faults.replace(Fault(kind=FaultKind.HANG))
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as idle:
        idle.sendall(b"POST /item/get HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        eventually(sandbox.requests)  # One that was not accepted yet would be reset, which is no less an end.
        sandbox.stop()
        sandbox.stop()
        assert idle.recv(1) == b""


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """The sandbox as its own process, and a client to it."""
    with subprocess.Popen(
        [sys.executable, "-m", "leaderjobs.sandbox", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            assert child.stdout is not None
            said = json.loads(child.stdout.readline())
            client = Client(said["url"], said["client_id"], said["secret"], said["access_token"])
            with client.session:
                yield child, client
        finally:
            child.kill()


def test_as_a_process_it_is_steered_and_read_over_its_own_port() -> None:
    with process("--transactions", "40", "--seed", "3", "--latency", "1ms") as (child, client):
        steer = client.session.post
        assert steer(f"{client.url}/_sandbox/change", json={"add": 5, "remove": 2}, timeout=10).json() == {
            "add": 5,
            "remove": 2,
        }
        steer(f"{client.url}/_sandbox/faults", json=[{"kind": "rate_limited", "count": 1}], timeout=10)
        assert client.sync()[0] == 429
        assert client.sync(count=500)[0] == 200
        state = client.get("/_sandbox/state")
        assert state["requests"] == {"/transactions/sync": 2}
        assert (state["rows"], state["pages_answered"]) == (43, 1)
        (rows,) = client.get("/_sandbox/rows").values()
        assert len(rows) == 43
        for path, body in (
            ("change", {"colour": 1}),
            ("change", {"add": -1}),
            ("faults", [{"kind": "rain"}]),
        ):
            assert steer(f"{client.url}/_sandbox/{path}", json=body, timeout=10).status_code == 400
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0


def test_as_a_process_it_ends_with_whoever_started_it() -> None:
    with process("--transactions", "0") as (child, _):
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == 0


@pytest.mark.parametrize("arguments", [["--transactions", "-1"], ["--latency", "5"], ["--transactions", "x"]])
def test_as_a_process_it_refuses_what_makes_no_sense(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "leaderjobs.sandbox", *arguments],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env={**os.environ},
    )  # fmt: skip
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def _raw_rows(sandbox: PlaidSandbox) -> list[bytes]:
    return [raw for item in sandbox._items.values() for _, raw in item._existing()]


def _raw_rows_of(client: Client) -> list[str]:
    rows = client.sync(count=500)[1]["added"]
    return [json.dumps(row, separators=(",", ":")) for row in rows]
