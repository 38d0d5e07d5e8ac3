"""Stand-ins for providers on loopback: stateful, seeded, and with faults that can be switched on.

A sandbox is an HTTP/1.1 server of its own thread per connection (`server`), the state of one provider
(`plaid`, `stripe`, `youtube`, `google_analytics`, `catalog`, `orders`), and a list of faults (`faults`).
One lock per sandbox guards the state; nothing is sent while it is held, so a client that hangs holds up
nobody.

Plaid's data is an append-only log of what happened to each object. A cursor is a place in that log,
sealed so that a client cannot make one up, and names the log's length when its update began. That makes
added, modified and removed after any cursor right by construction, makes the same cursor give the same
page for as long as nothing changed, and shows when something did: then Plaid refuses to go on.

Stripe and the orders act, so what matters there is the order of things (`keyed`): the arrival is written
down (`sends`), the key is taken into use (`keys`), the latency passes, the effect happens and is entered
in the `book`, the answer is kept under the key, and only then is it sent. A fault strikes at one of two
places: before the provider has heard of the request, or `after` it has acted and kept its answer. A
client that has gone meanwhile changes nothing, as at the real ones. Objects are frozen, so a shelf
(`shelf`) keeps what they were and can show it to reads that lag behind; the settable clock stamps them
and makes keys expire.

The book is the judge of "once". It knows of no request, key or answer; money moves in one place of each
provider, which enters a line there and then. What was asked and what took effect is counted here, not by
the client under test. `python -m leaderjobs.sandbox` runs a sandbox as a process of its own; it is
steered by the `/_sandbox/` paths on the same port, which, like everything here, listen on 127.0.0.1 only.
"""
