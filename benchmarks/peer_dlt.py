"""The peer of `load`: dlt's merge into Postgres; run by the Python of its own environment.

`python peer_dlt.py SETTINGS` reads from a JSON file where the database is, which file holds the provider's
pages (one a line), in which directory dlt may keep its state, and what is set otherwise; it prints the
seconds that `pipeline.run` took. Parsing a page is the source's work and so is counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    """Load once."""
    settings: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    # dlt reads them when it is imported.
    os.environ.update(
        {
            "DESTINATION__POSTGRES__CREDENTIALS": settings["database"],
            "DLT_DATA_DIR": settings["directory"],
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            **settings["environment"],
        }
    )
    import dlt  # type: ignore[import-not-found]  # it is in an environment of its own
    from dlt.common import json as parser  # type: ignore[import-not-found]  # as above

    def pages() -> Iterator[list[dict[str, Any]]]:
        with Path(settings["pages"]).open("rb") as lines:
            for line in lines:
                yield parser.loadb(line)["added"]

    resource = dlt.resource(
        pages(),
        name="transactions",
        primary_key="transaction_id",
        write_disposition=settings["disposition"],
        max_table_nesting=settings["nesting"],
    )
    pipeline = dlt.pipeline(
        "load", destination="postgres", dataset_name=settings["dataset"], pipelines_dir=settings["directory"]
    )
    began = time.monotonic()
    done = pipeline.run(resource, loader_file_format=settings["format"])
    seconds = time.monotonic() - began
    done.raise_on_failed_jobs()
    print(seconds)


if __name__ == "__main__":
    main()
