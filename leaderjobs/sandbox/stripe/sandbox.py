"""Stripe on loopback: invoices, payment intents, refunds, events and keys, as the API of 2026 has them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import msgspec
from msgspec.structs import replace

from leaderjobs import clock
from leaderjobs.sandbox.exchange import Reply, Request
from leaderjobs.sandbox.faults import Fault, FaultKind
from leaderjobs.sandbox.keyed import OTHER, KeyedSandbox, Outcome, milliseconds
from leaderjobs.sandbox.keys import Claim, Use
from leaderjobs.sandbox.shelf import Row
from leaderjobs.sandbox.stripe.account import EVENT_SECONDS, Account
from leaderjobs.sandbox.stripe.calls import Call, Calls, Route
from leaderjobs.sandbox.stripe.cards import known
from leaderjobs.sandbox.stripe.errors import StripeError, key_error
from leaderjobs.sandbox.stripe.expand import checked, expanded
from leaderjobs.sandbox.stripe.forms import Params, canonical, fields, nested
from leaderjobs.sandbox.stripe.invoices import Invoices, Pay, open_invoices
from leaderjobs.sandbox.stripe.payments import Payments
from leaderjobs.sandbox.stripe.reads import Reads, spoil
from leaderjobs.sandbox.stripe.seeds import Seeds
from leaderjobs.sandbox.stripe.shapes import API_VERSION, ENCODER, Json, shape

KEY_RETENTION = timedelta(hours=24)
MOST_INVOICES = 100_000
"""Made at once."""
_LOCKED = (
    "This object cannot be accessed right now because another API request or Stripe process is currently "
    "accessing it. If you see this error intermittently, retry the request."
)


class StripeSandbox(KeyedSandbox):
    """One Stripe account; its `book` says what was paid, whatever anybody was told."""

    def __init__(
        self,
        *,
        seed: int = 0,
        invoices: int = 0,
        port: int = 0,
        latency: timedelta = timedelta(0),
        **seeds: int,
    ) -> None:
        """So many open invoices to begin with; the seed decides their amounts, every id and the key.

        `seeds` are objects that have been there for long, by what their list is called: `customers=250`.
        """
        super().__init__(seed=seed, port=port, latency=latency, retention=KEY_RETENTION)
        self.api_key = f"sk_test_{random.Random(f'{seed}/key').getrandbits(128):032x}"
        self.search_lag = timedelta(seconds=1)
        self.busy = timedelta(0)
        self._held: set[str] = set()
        self._account = Account(seed, self.clock, self.book)
        self._payments = Payments(self._account)
        self._invoices = Invoices(self._account, self._payments)
        self._calls = Calls(self._account, self._payments, self._invoices, Reads(self._account))
        self._seeds = Seeds(seed, self._account)
        self._asked: Counter[tuple[str, str, int]] = Counter()
        for kind, count in seeds.items():
            self._seeds.grow(kind, count)
        self.add_invoices(invoices)

    def rows(self, kind: str) -> dict[str, dict[str, Any]]:
        """What a list holds now, by id: what a copy must be equal to. Numbers with a point are Decimal."""
        with self._state:
            oldest = self._account.now() - EVENT_SECONDS if kind == "events" else 0
            rows = [row for row in self._kinds()[kind].rows() if row.created >= oldest]
            return {row.id: json.loads(ENCODER.encode(shape(row)), parse_float=Decimal) for row in rows}

    def add(self, kind: str, count: int) -> list[str]:
        """New objects, with their events; the ids."""
        with self._state:
            return self._seeds.add(kind, count)

    def modify(self, kind: str, count: int) -> list[str]:
        """Change up to so many objects, with an event each; their ids."""
        with self._state:
            return self._seeds.modify(kind, count)

    def remove(self, kind: str, count: int) -> list[str]:
        """Delete up to so many objects, with an event each; their ids."""
        with self._state:
            return self._seeds.remove(kind, count)

    def cancel_subscriptions(self, count: int) -> list[str]:
        """Cancel up to so many, which Stripe goes on to list; their ids."""
        with self._state:
            return self._seeds.cancel(count)

    def drift(self, count: int) -> list[str]:
        """Up to so many customers show members that nobody knew, and another type of one; their ids."""
        with self._state:
            return self._seeds.drift(count)

    def hide(self, kind: str) -> str:
        """A new object, without an event, that shows only once it is revealed; its id."""
        with self._state:
            return self._seeds.hide(kind)

    def reveal(self, row_id: str) -> None:
        """Let a hidden object show, at the place where it was made."""
        with self._state:
            self._seeds.reveal(row_id)

    def add_invoices(self, count: int) -> list[str]:
        """So many more open invoices, each with a card that pays; their ids, oldest first."""
        if not 0 <= count <= MOST_INVOICES:
            raise ValueError(f"invoices: allowed: 0 to {MOST_INVOICES}")
        with self._state:
            return open_invoices(self._account, self._invoices, count)

    def set_payment_method(self, payment_method: str, invoice: str) -> None:
        """The card that an invoice will be charged to."""
        with self._state:
            found = self._account.invoices.get(invoice)
            if found is None or not known(payment_method):
                raise ValueError(f"no such invoice or payment method: {invoice}, {payment_method}")
            self._account.put(replace(found, default_payment_method=payment_method))

    def pay_by_other(self, invoice: str) -> str:
        """Somebody pays an open invoice without us; the payment intent."""
        with self._state:
            found = self._account.invoices.get(invoice)
            if found is None or found.status != "open" or found.intent is None:
                raise ValueError(f"{invoice} is no open invoice")
            try:
                self._invoices.pay(found, OTHER, Pay(payment_method="pm_card_visa"))
            except StripeError as error:
                raise ValueError(error.message) from None
            return found.intent

    def settle_processing(self, *, succeeds: bool = True) -> list[str]:
        """The bank decides about every payment that is processing; their ids."""
        with self._state:
            waiting = [row for row in self._account.intents.rows() if row.status == "processing"]
            return [self._payments.settle(intent, succeeds=succeeds).id for intent in waiting]

    def void(self, invoice: str) -> None:
        """Somebody voids an invoice without us."""
        with self._state:
            found = self._account.invoices.get(invoice)
            if found is None:
                raise ValueError(f"no such invoice: {invoice}")
            try:
                self._invoices.void(found, OTHER)
            except StripeError as error:
                raise ValueError(error.message) from None

    def change(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """As the base class; `payment_method` and `invoice` go together."""
        pair = {name: wanted[name] for name in ("payment_method", "invoice") if name in wanted}
        if not pair:
            return super().change(wanted)
        if len(pair) != 2:
            raise ValueError("payment_method and invoice: allowed: both or none")
        told = super().change({name: value for name, value in wanted.items() if name not in pair})
        self.set_payment_method(_text(pair["payment_method"]), _text(pair["invoice"]))
        return {**told, **pair}

    def changes(self) -> dict[str, Callable[[Any], Any]]:
        """What can be switched, and what can happen without a request."""
        return {
            **super().changes(),
            "invoices": lambda value: self.add_invoices(_count(value)),
            "add": lambda value: self._each(self.add, value),
            "modify": lambda value: self._each(self.modify, value),
            "remove": lambda value: self._each(self.remove, value),
            "search_lag_ms": self._set_search_lag,
            "busy_ms": self._set_busy,
            "pay_by_other": lambda value: self.pay_by_other(_text(value)),
            "settle_processing": self._settle,
            "void": lambda value: self.void(_text(value)),
        }

    def state(self) -> dict[str, Any]:
        """Counts of what was asked, of what there is, and of what the book says.

        `pages_asked_twice` counts answers with rows that had been given before, when nothing had changed.
        """
        with self._state:
            account = self._account
            statuses = [invoice.status for invoice in account.invoices.rows()]
            return {
                "requests": self.requests(),
                "pages_asked_twice": sum(count - 1 for count in self._asked.values()),
                "faults_struck": self.faults.struck(),
                "replays": self._replays,
                "keys": len(self._kept),
                "sends": len(self.sends),
                "invoices": {status: statuses.count(status) for status in sorted(set(statuses))},
                **{noun: len(shelf) for noun, shelf in self._kinds().items() if noun != "invoices"},
                "payments": len(self.book.payments()),
                "invoices_paid_twice": sum(n > 1 for n in self.book.payments_per_invoice().values()),
            }

    def rows_json(self) -> bytes:
        """Every object by kind, newest first."""
        with self._state:
            shown = {noun: [shape(row) for row in shelf.rows()] for noun, shelf in self._kinds().items()}
        return ENCODER.encode(shown)

    def counted_as(self, method: str, path: str) -> str:
        """The endpoint, without the ids."""
        return self._calls.find(method, path)[0]

    def unauthorized(self, request: Request) -> Reply | None:
        """Bearer, or Basic with the key as the user."""
        given = _credentials(request.headers.get("Authorization", ""))
        if given == self.api_key:
            return None
        text = "You did not provide an API key."
        if given:
            text = f"Invalid API Key provided: {given[:7]}****{given[-4:] if len(given) > 15 else ''}"
        return _reply(StripeError(text, status=401, should_retry=None))

    def key_scope(self, request: Request) -> str:
        """Keys belong to an account."""
        return request.headers.get("Stripe-Account", "")

    def parameters(self, request: Request) -> str:
        """In any order."""
        return canonical(request.query, request.body)

    def limited(self, fault: Fault) -> Reply:
        """The limiter comes before everything else."""
        text = "Request rate limit exceeded."
        error = StripeError(text, status=429, code="rate_limit", should_retry=fault.should_retry)
        retry_after = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
        return _reply(error, {"Stripe-Rate-Limited-Reason": "global-rate", **retry_after})

    def failure(self, fault: Fault) -> Reply:
        """A 500 that stays with its key is none to retry, unless the fault says otherwise."""
        if fault.kind is FaultKind.ERROR:
            kind, code = fault.error_type.lower(), fault.error_code.lower()
            error = StripeError(
                "As asked for.",
                status=fault.status or 400,
                kind=kind,
                code=code,
                should_retry=fault.should_retry,
            )
        else:
            error = StripeError(
                "An unknown error occurred",
                status=fault.status or 500,
                kind="api_error",
                should_retry=fault.should_retry or ("false" if fault.stored else None),
            )
        return _reply(error, {} if fault.retry_after is None else {"Retry-After": fault.retry_after})

    def key_refused(self, claim: Claim | None, key: str, request: Request, first: Use | None) -> Reply:
        """As Stripe says it."""
        return _reply(key_error(claim, key, request.path, first))

    def dressed(self, request: Request, reply: Reply, *, worked: bool) -> Reply:
        """Ids, versions and keys."""
        own = self.request_id(request)
        headers = {
            "Request-Id": own,
            "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION),
            "Date": formatdate(self._account.now(), usegmt=True),
        }
        account = request.headers.get("Stripe-Account")
        if account:
            headers["Stripe-Account"] = account
        key = self.actor(request).honoured_key
        if key:
            headers["Idempotency-Key"] = key
            if worked:
                headers["Original-Request"] = own
        return Reply(reply.status, reply.body, {**headers, **reply.headers}, reply.content_type)

    def execute(self, request: Request, faults: tuple[Fault, ...]) -> Outcome:
        """Find the endpoint, lock its object, act."""
        before = after = 0
        try:
            route, row_id = self._route(request)
            call = Call(
                id=row_id,
                params=Params(nested(fields(request.query, request.body))),
                actor=self.actor(request),
                as_of=self.as_of() if request.method == "GET" else None,
                searched=clock.elapsed() - self.search_lag.total_seconds(),
            )
            with self._holding(_locked(route, call)), self._state:
                before = self._account.changes
                try:
                    shown = self._run(route, call)
                    if route.paged and shown.get("data"):
                        self._asked[request.path, canonical(request.query, b""), before] += 1
                finally:
                    after = self._account.changes
        except StripeError as error:
            return Outcome(_reply(error), acted=after != before, began=error.began)
        if route.paged and shown.get("data"):
            spoil(shown, call.params, frozenset(fault.kind for fault in faults))
        return Outcome(Reply(200, ENCODER.encode(shown)), acted=after != before)

    def _run(self, route: Route, call: Call) -> Json:
        """What is answered, with what is to be expanded."""
        paths = checked(call.params.texts("expand"), route.noun, inside_list=route.paged)
        result = route.run(call)
        shown = shape(result) if isinstance(result, Row) else result
        return expanded(self._account, shown, paths, call.as_of)

    def _route(self, request: Request) -> tuple[Route, str]:
        _, route, row_id = self._calls.find(request.method, request.path)
        if route is None:
            raise StripeError(f"Unrecognized request URL ({request.method}: {request.path}).", status=404)
        return route, row_id

    @contextlib.contextmanager
    def _holding(self, target: str | None) -> Iterator[None]:
        """Keep an object busy; whoever comes meanwhile is sent away. Without `busy`, all take their turn."""
        if target is None or not self.busy:
            yield
            return
        with self._state:
            if target in self._held:
                raise StripeError(_LOCKED, status=429, code="lock_timeout", began=False, should_retry="true")
            self._held.add(target)
        try:
            self.pause(self.busy.total_seconds())
            yield
        finally:
            with self._state:
                self._held.discard(target)

    def _kinds(self) -> dict[str, Any]:
        return {shelf.path.rpartition("/")[2]: shelf for shelf in self._account.shelves.values()}

    def _each(self, do: Callable[[str, int], list[str]], wanted: object) -> dict[str, int]:
        """So many of each kind; how many there were."""
        if not isinstance(wanted, dict):
            raise ValueError(f"{wanted!r}: allowed: numbers by kind")  # noqa: TRY004 - told to a client
        return {kind: len(do(kind, _count(count))) for kind, count in wanted.items()}

    def _set_search_lag(self, value: object) -> None:
        self.search_lag = milliseconds(value, "search_lag_ms")

    def _set_busy(self, value: object) -> None:
        self.busy = milliseconds(value, "busy_ms")

    def _settle(self, value: object) -> list[str]:
        if not isinstance(value, bool):
            raise ValueError("settle_processing: allowed: true, or false for a failure")  # noqa: TRY004 - told to a client
        return self.settle_processing(succeeds=value)


def _reply(error: StripeError, headers: Mapping[str, str] | None = None) -> Reply:
    told = error.members()
    if error.intent is not None:
        told["payment_intent"] = shape(error.intent)
    retry = {} if error.should_retry is None else {"Stripe-Should-Retry": error.should_retry}
    return Reply(error.status, msgspec.json.encode({"error": told}), {**retry, **(headers or {})})


def _locked(route: Route, call: Call) -> str | None:
    if route.locks is None:
        return None
    return call.params.peek(*route.locks) if route.locks else call.id


def _credentials(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r}: allowed: a text")


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r}: allowed: an integer")
