"""Asks the Stripe stand-in without any connector between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

TIMEOUT = 10.0


class Answer:
    """What came back: the status, the JSON if it is any, and the headers."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.body = response.content
        self.json: dict[str, Any] = response.json()

    @property
    def error(self) -> dict[str, Any]:
        return dict(self.json["error"])


class Stripe:
    """A connection per request, as an effect wants it."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {api_key}", "Connection": "close"}

    def get(self, path: str, **params: object) -> Answer:
        return self._ask("GET", path, None, TIMEOUT, params)

    def delete(self, path: str) -> Answer:
        return self._ask("DELETE", path, None, TIMEOUT, {})

    def post(self, path: str, *, key: str | None = None, timeout: float = TIMEOUT, **form: Any) -> Answer:
        return self._ask("POST", path, key, timeout, form)

    def pay(self, invoice: str, *, key: str | None = None, timeout: float = TIMEOUT, **form: Any) -> Answer:
        return self.post(f"/v1/invoices/{invoice}/pay", key=key, timeout=timeout, **form)

    def status(self, invoice: str) -> str:
        return str(self.get(f"/v1/invoices/{invoice}").json["status"])

    def fails(self, path: str, *, key: str | None = None, timeout: float = TIMEOUT, **form: Any) -> Exception:
        """Post, and give the exception that comes instead of an answer."""
        try:
            self.post(path, key=key, timeout=timeout, **form)
        except requests.RequestException as error:
            return error
        raise AssertionError("there was an answer")

    def _ask(
        self, method: str, path: str, key: str | None, timeout: float, fields: dict[str, object]
    ) -> Answer:
        pairs = list(flat(fields))
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": key}
        with requests.Session() as session:
            session.trust_env = False
            response = session.request(
                method,
                self.url + path,
                params=pairs if method == "GET" else None,
                data=pairs if method == "POST" else None,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            )
        return Answer(response)


def flat(fields: dict[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """`a[b]=` and `a[]=`, as Stripe wants them."""
    for name, value in fields.items():
        known = f"{within}[{name}]" if within else name
        if isinstance(value, dict):
            yield from flat(value, known)
        elif isinstance(value, list):
            yield from ((f"{known}[]", str(each)) for each in value)
        elif value is not None:
            yield known, str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def meanwhile(work: Any, *arguments: Any, **options: Any) -> Iterator[list[Any]]:
    """Run something beside the block; the list holds its result when the block is done."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work(*arguments, **options)))
    thread.start()
    try:
        yield results
    finally:
        thread.join(TIMEOUT)
