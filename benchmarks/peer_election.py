"""The peer of `failover`: kazoo's Election recipe as its documentation shows it, one contender a process.

`python -m benchmarks.peer_election HOSTS PATH SECONDS` prints the wall clock, as seconds since 1970, when
its function begins to run, that is when it leads. On SIGTERM the function returns and the client is closed.
"""

from __future__ import annotations

import signal
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.recipe.election import Election


def main() -> None:
    """Contend until told to stop."""
    hosts, path, seconds = sys.argv[1:]
    stop = threading.Event()

    def lead() -> None:
        print(time.time(), flush=True)
        stop.wait()

    client = KazooClient(hosts=hosts, timeout=float(seconds))
    client.start()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Election(client, path).run(lead)
    client.stop()
    client.close()


if __name__ == "__main__":
    main()
