"""The peer of `replica_lag`: a process that sets one znode at a given pace.

`python -m benchmarks.peer_watch HOSTS PATH` reads one count of seconds a line from standard input: the
pause between two writes from then on, none at 0. It ends with its input. Every value that it writes is
its own instant of sending, as seconds since 1970.
"""

from __future__ import annotations

import sys
import threading
import time

from kazoo.client import KazooClient


def main() -> None:
    """Write until standard input is closed."""
    hosts, path = sys.argv[1:]
    client = KazooClient(hosts=hosts)
    client.start()
    client.ensure_path(path)
    pause = 0.0
    changed = threading.Event()
    ended = threading.Event()

    def read() -> None:
        nonlocal pause
        for line in sys.stdin:
            pause = float(line)
            changed.set()
        ended.set()
        changed.set()

    threading.Thread(target=read, daemon=True).start()
    while not ended.is_set():
        if not changed.wait(pause or None):
            client.set(path, repr(time.time()).encode())
        changed.clear()
    client.stop()
    client.close()


if __name__ == "__main__":
    main()
