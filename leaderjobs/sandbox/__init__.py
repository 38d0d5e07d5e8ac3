"""Stand-ins for providers on loopback: stateful, seeded, and with faults that can be switched on.

A sandbox is an HTTP/1.1 server of its own thread per connection (`server`), the state of one provider
(`plaid`), and a list of faults (`faults`) that is consulted before every answer. One lock per sandbox
guards the state; nothing is sent while it is held, so a client that hangs holds up nobody.

The provider's data is an append-only log of what happened to each object. A cursor is a place in that
log, sealed so that a client cannot make one up, and names the log's length when its update began. That
makes added, modified and removed after any cursor right by construction, makes the same cursor give the
same page for as long as nothing changed, and shows when something did: then Plaid refuses to go on.

What was really asked for is counted here, not by the client under test. `python -m leaderjobs.sandbox`
runs one as a process of its own; it is steered by the `/_sandbox/` paths on the same port, which, like
everything here, listen on 127.0.0.1 only.
"""
