"""Any Singer tap, as a child process.

`process` owns the child: its files, its group, its end. `messages` reads its lines, `pages` gathers them
into batches and decides when one can be committed, `shape` turns a JSON schema into columns, `catalog`
selects one stream. One stream is one run, with its own STATE in its own marker: see `connector` for why,
and what it costs.
"""
