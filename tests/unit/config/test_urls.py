"""Which server URLs are taken, and how a refused one is shown."""

from __future__ import annotations

import pytest

from leaderjobs.config import urls


@pytest.mark.parametrize(
    "url",
    [
        "zookeeper://zk",
        "zookeeper://zk1:2181,10.0.0.2,[::1]:2182/a/b/",
        "zookeeper://user:word@zk:2181/x",
    ],
)
def test_coordinator_is_taken(url: str) -> None:
    assert urls.is_coordinator(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "zk:2181",
        "zookeeper://",
        "zookeeper://a b",
        "zookeeper://a,,b",
        "zookeeper://a:70000",
        "zookeeper://a/../b",
    ],
)
def test_coordinator_is_refused(url: str) -> None:
    assert not urls.is_coordinator(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/acme",
        "postgres://u:p@db:5432/acme?sslmode=require",
        "postgresql:///acme?host=/run/postgresql",
    ],
)
def test_database_is_taken(url: str) -> None:
    assert urls.is_database(url)


@pytest.mark.parametrize(
    "url", ["", "db", "http://db", "postgresql://d b/acme", "postgresql://db:0/acme", "postgresql:/db"]
)
def test_database_is_refused(url: str) -> None:
    assert not urls.is_database(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://ann:word@db/x", '"mysql://ann:***@db/x"'),
        ("mysql://ann:w@rd/x@db/x", '"mysql://ann:***@db/x"'),
        ("mysql://db/x?password=word&a=b", '"mysql://db/x?password=***&a=b"'),
        ("mysql://ann:word", "***"),
        ("ann:word@db", "***"),
        ("mysql:/ann:word@db", "***"),
        ("word", "***"),
        ("mysql://db\n/x", "***"),
    ],
)
def test_refused_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert urls.shown_url(url) == shown
