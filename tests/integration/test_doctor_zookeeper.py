"""What `leaderjobs doctor` says of a real ZooKeeper, with each assumption broken for real."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest

from leaderjobs.coordination.zookeeper_doctor import ZooKeeperExaminer
from leaderjobs.embedded.zookeeper import ZooKeeperServer
from leaderjobs.model.finding import Finding
from tests.support_proxy import Pair, TcpProxy

SESSION = timedelta(seconds=15)


def examined(url: str, timeout: timedelta = SESSION, *, embedded: bool = False) -> dict[str, Finding]:
    return {each.check: each for each in ZooKeeperExaminer(url, "acme", timeout, embedded=embedded).examine()}


def test_nodes_that_everybody_may_change(zookeeper_url: str) -> None:
    found = examined(zookeeper_url)["coordinator.acl"]
    assert found.verdict.value == "warning"
    assert found.remedy.startswith(
        "put USER:PASSWORD@ before the hosts of cluster.coordinator, and give the nodes"
    )
    assert examined(zookeeper_url, embedded=True)["coordinator.acl"].verdict.value == "skipped"


def test_nodes_that_belong_to_somebody_else(zookeeper_url: str) -> None:
    examined(zookeeper_url.replace("://", "://ann:sesame@"))
    found = examined(zookeeper_url.replace("://", "://eve:guess@"))
    assert found["coordinator.latency"].verdict.value == "failed"
    assert "cluster.coordinator" in found["coordinator.latency"].remedy


@pytest.mark.parametrize(
    ("asked", "verdict", "said"),
    [
        (1, "failed", "too short for a ZooKeeper tick of 0.5 s"),
        (180, "warning", "asked for 180 s and granted 120 s"),
    ],
)
def test_a_session_timeout_that_cannot_be_had(
    zookeeper_url: str, asked: int, verdict: str, said: str
) -> None:
    found = examined(zookeeper_url, timedelta(seconds=asked))["coordinator.session_timeout"]
    assert (found.verdict.value, said in found.message) == (verdict, True)


class Narrow(TcpProxy):
    """Breaks a connection off that sends more than a packet of 64 KiB, as a server does with its own limit."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._sent: dict[Pair, int] = {}

    def _received(self, pair: Pair, source: object, *, answers: bool) -> bytes:
        piece = super()._received(pair, source, answers=answers)  # type: ignore[arg-type]
        if not answers:
            self._sent[pair] = self._sent.get(pair, 0) + len(piece)
            if self._sent[pair] > 64 * 1024:
                raise ConnectionResetError
        return piece


def test_a_limit_below_a_heartbeat_s_size_is_found_by_writing_one(zookeeper_server: ZooKeeperServer) -> None:
    with Narrow("127.0.0.1", zookeeper_server.port) as proxy:
        found = examined(f"zookeeper://{proxy.address}/narrow-{secrets.token_hex(4)}", timedelta(seconds=4))
    size = found["coordinator.node_size"]
    assert (size.verdict.value, "jute.maxbuffer" in size.remedy) == ("failed", True)
    assert found["coordinator.latency"].verdict.value == "ok"
