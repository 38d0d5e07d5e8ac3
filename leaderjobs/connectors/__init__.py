"""An outside API, page by page: knows no database and no cluster.

A connector turns a cursor into batches. It sends a request again by itself only while nothing has
answered it, and only a few times; an answer, whatever it says, is the runner's to judge. It never sleeps
except through its context (so that the end of a term wakes it), and raises the errors of
`leaderjobs.errors` sorted by what the runner should do.

An operation never sends anything by itself: it says what to send and what an answer means, and the engine
decides. What it says of an answer it does not know is "unknown".

`registry` knows the names and imports a connector when its name is used; `http` and `http_wire` (with
`requests`) are imported when one is made. `outcome` tells a request that was answered from one that was
not sent and from one of which nothing is known. `pacing` keeps to the provider's limit, `patience` asks
again where nobody answered, `urls` says which addresses may be asked, `credentials` keeps secrets out of
errors. `arguments`, `templates` and `forms` write requests, `documents` reads answers. Each provider is a
package of its own, whose `connector` is the class; none of them knows another.
"""
