"""Who leads, who is here, and what the leader has published.

`base` is the contract, `zookeeper` and `memory` keep it; one suite in tests/contract runs over both.
The coordinator is authoritative for *who may try to lead*; Postgres (store/terms, the fence) is
authoritative for *whose writes count*. Nothing here is trusted for correctness of data.
"""
