"""The peer of `charges`: kazoo's Election recipe around a charge loop as people write it.

`python -m benchmarks.peer_charges SETTINGS` reads HOSTS, PATH, SECONDS, DATABASE, STRIPE and KEY from a JSON
file, and prints a line whenever it begins to lead. Leading, it charges every invoice that its table does not
call paid, marks it paid, and tries again whatever has failed.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import requests
from kazoo.client import KazooClient
from kazoo.recipe.election import Election

UNPAID = "SELECT invoice, amount FROM naive.invoices WHERE NOT paid ORDER BY invoice LIMIT 1"
PAID = "UPDATE naive.invoices SET paid = true WHERE invoice = %s"
TIMEOUT = 5.0
IDLE = 0.05


def charge(settings: dict[str, Any], invoice: str, amount: int) -> bool:
    """One call that moves money; whether it says that it did."""
    form = {
        "amount": str(amount),
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": "true",
        "metadata[invoice]": invoice,
    }
    try:
        answer = requests.post(
            f"{settings['stripe']}/v1/payment_intents",
            data=form,
            headers={"Authorization": f"Bearer {settings['key']}"},
            timeout=TIMEOUT,
        )
        answer.raise_for_status()
        return bool(answer.json()["status"] == "succeeded")
    except (requests.RequestException, ValueError, KeyError):
        return False


def main() -> None:
    """Contend, and charge while elected, until told to stop."""
    settings: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    stop = threading.Event()

    def lead() -> None:
        print("leads", flush=True)
        with psycopg.connect(settings["database"], autocommit=True) as connection:
            while not stop.is_set():
                found = connection.execute(UNPAID).fetchone()
                if found is None:
                    stop.wait(IDLE)
                elif charge(settings, *found):
                    connection.execute(PAID, (found[0],))

    client = KazooClient(hosts=settings["hosts"], timeout=float(settings["seconds"]))
    client.start()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Election(client, settings["path"]).run(lead)
    client.stop()
    client.close()


if __name__ == "__main__":
    main()
