"""What a coordinator URL may say, and that it never shows its password."""

from __future__ import annotations

import pytest

from leaderjobs.coordination.zookeeper_url import ZooKeeperUrl
from leaderjobs.errors import ConfigError

SECRET = "s3cr3t"


def test_hosts_chroot_credentials_and_tls() -> None:
    url = ZooKeeperUrl.parse(f"zookeeper://ann:{SECRET}%40%2F@h1:2182, h2,[::1]:2183/a//b/?ca=/ca.pem")
    assert url.hosts == ("h1:2182", "h2:2181", "[::1]:2183")
    assert url.root == "/a/b"
    assert url.credential == f"ann:{SECRET}@/"
    assert (url.tls, url.ca) == (True, "/ca.pem")


def test_nothing_but_a_host_is_enough() -> None:
    url = ZooKeeperUrl.parse("zookeeper://h1")
    assert (url.hosts, url.root, url.credential, url.tls) == (("h1:2181",), "", None, False)


def test_the_password_is_not_shown() -> None:
    url = ZooKeeperUrl.parse(f"zookeeper://ann:{SECRET}@h1/x")
    assert SECRET not in repr(url) + str(url)


@pytest.mark.parametrize(
    "url",
    [
        f"zk://ann:{SECRET}@h1",
        f"zookeeper://:{SECRET}@h1",
        f"zookeeper://ann:{SECRET}@",
        f"zookeeper://ann:{SECRET}@h1,,h2",
        f"zookeeper://ann:{SECRET}@h1:port",
        f"zookeeper://ann:{SECRET}@h1:70000",
        f"zookeeper://ann:{SECRET}@::1",
        f"zookeeper://ann:{SECRET}@h1/a/../b",
        f"zookeeper://ann:{SECRET}@h1/?tls=maybe",
        f"zookeeper://ann:{SECRET}@h1/?tls=false&ca=/x",
        f"zookeeper://ann:{SECRET}@h1/?ssl=1",
        f"zookeeper://{SECRET}@h1",
    ],
)
def test_a_bad_url_is_refused_without_repeating_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ZooKeeperUrl.parse(url)
    assert SECRET not in str(refused.value)
