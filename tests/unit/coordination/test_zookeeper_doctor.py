from __future__ import annotations

import pytest

from leaderjobs.coordination.zookeeper_doctor import WORDS, _of_servers, _of_versions, _of_words, _Server
from leaderjobs.model.finding import Finding

REFUSED = "{} is not executed because it is not in the whitelist."
ANSWERS = {
    "ruok": "imok",
    "srvr": "Zookeeper version: 3.9.3-c26634f34490bb0ea7a09cc51e05ede3b4e320ee, built on 2024\nMode: leader\n",
    "mntr": "zk_version\t3.9.3\n",
    "conf": "clientPort=2181\ntickTime=2000\n",
}


def server(host: str = "a:2181", **answers: str | None) -> _Server:
    return _Server(host, {**ANSWERS, **answers})


def silent(host: str) -> _Server:
    return _Server(host, dict.fromkeys(WORDS))


def told(found: Finding) -> tuple[str, str]:
    return found.verdict.value, found.message


@pytest.mark.parametrize(
    ("servers", "verdict", "message"),
    [
        ([server()], "ok", "1 of 1 servers answer"),
        ([server(), server("b:2181"), silent("c:2181")], "warning", "2 of 3 servers answer; silent: c:2181"),
        (
            [server(), silent("b:2181"), silent("c:2181")],
            "failed",
            "1 of 3 servers answer; silent: b:2181, c:2181",
        ),
        ([server(), silent("b:2181")], "failed", "1 of 2 servers answer; silent: b:2181"),
    ],
)
def test_a_majority_must_answer(servers: list[_Server], verdict: str, message: str) -> None:
    assert told(_of_servers(servers)) == (verdict, message)


def test_a_server_that_is_too_old_is_named() -> None:
    assert told(_of_versions([server()])) == ("ok", "ZooKeeper 3.9.3")
    old = _of_versions([server(), server("b:2181", srvr="Zookeeper version: 3.4.14-4c25d480, built on 2019")])
    assert told(old) == ("failed", "ZooKeeper 3.4.14, 3.9.3")
    assert old.remedy == "upgrade b:2181 to 3.8 or newer"
    assert _of_versions([server(srvr=REFUSED.format("srvr"))]).verdict.value == "skipped"


def test_words_that_are_not_answered_are_named_with_what_follows() -> None:
    assert told(_of_words([server()])) == ("ok", "ruok, srvr, mntr and conf are answered")
    refusing = server(**{word: REFUSED.format(word) for word in ("ruok", "mntr", "conf")})
    found = _of_words([refusing])
    assert told(found) == (
        "warning",
        "not answered: conf, mntr, ruok; without conf a tick of 2 s is taken for granted",
    )
    assert "4lw.commands.whitelist=ruok,srvr,mntr,conf" in found.remedy
    assert _of_words([server(mntr=None)]).message == "not answered: mntr"


def test_a_server_in_trouble_is_no_matter_of_words() -> None:
    troubled = server(ruok="This ZooKeeper instance is not currently serving requests")
    assert told(_of_words([server(), troubled])) == (
        "failed",
        "a:2181 answers ruok with something else than imok",
    )
    assert _of_words([]).verdict.value == "skipped"
