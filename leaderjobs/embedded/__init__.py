"""Real servers as child processes, for `dev`, `demo` and the tests: loopback only, on ports of their own.

    Server                     one child process and its directory
    ├── ZooKeeperServer        java + six jars, found by java.py and jars.py
    └── PostgresServer         binaries.py finds them, account.py says as whom they may run
    dev                        one pair of them, shared by every command of one user on the machine

A server's directory holds everything about it: `lock`, `server.json` (pid, start time, port), `log` and
the data. Two facts are authoritative, in this order:

- The flock on `lock`. The starter takes it and the child inherits it, so it is held exactly as long as
  any process of the server lives, whoever else has died. Two servers never share one data directory:
  ZooKeeper would not notice, and its log would be ruined.
- `server.json`, which says *which* process that is. A pid counts only together with its start time, so a
  number that the system gave to somebody else is never signalled, and a file left by a crash is harmless.

States: none -> starting (lock held, child running) -> serving (it answered a real request) -> none.
`start` returns only when the server serves; a child that dies first fails with the telling line of its log.

Lifetime: a server dies with the process that started it (a small shell waits on a pipe whose other
end only the owner holds, so this holds for SIGKILL too), unless it is `detached`, which is what `dev` wants.
"""
