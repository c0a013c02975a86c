"""
One order from outside: placed and cancelled again, as a customer does it.

A round fails if a customer would have got nothing: no answer in time, a fault, or a refusal for any other reason than
stock. An outage of inventory alone fails none, because orders are accepted then. What a failed round may have left is
cancelled before anything more is ordered, so there is never more than one open order, and its stock comes back.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from gateway.prober.calls import Answer, Calls, NotSignedIn, Unanswered
from shop_client import repeats, rest

OK, SOLD_OUT, FAILED = "ok", "sold_out", "failed"
NAME = re.compile(r"orders/[0-9a-f-]{36}")
OPEN = ("PENDING", "CONFIRMED")
# A call without an answer may still become an order for so long.
UNSURE_S = 2 * repeats.UNDER_WAY_S
MAX_REPEATS = 3
REPEAT_S = 1.0
ORDERS = Counter(
    "probe_orders", "Orders placed and cancelled from outside, by outcome: ok, sold_out or failed.", ["outcome"]
)
PLACED = Counter("probe_orders_placed", "Orders of the prober that were accepted, by their initial state.", ["state"])
FAILURES = Counter(
    "probe_failures", "Failed orders from outside, by the step that failed and the HTTP status or cause.",
    ["step", "reason"],
)  # fmt: skip
SUCCESS = Gauge(
    "probe_success", "1 if the last order from outside was placed and cancelled (or sold out), else 0.", ["shop"]
)
FINISHED = Gauge("probe_finished_timestamp_seconds", "Unix time at which the last probe order ended.", ["shop"])
SECONDS = Histogram(
    "probe_seconds",
    "Seconds that a step of an order takes from outside: place or cancel.",
    ["step"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
log = structlog.get_logger()


class Probe:
    """Places orders through *calls* at the shop named *shop*; *refused* is called when the token is not accepted."""

    def __init__(
        self,
        calls: Calls,
        shop: str,
        *,
        refused: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        repeat_s: float = REPEAT_S,
    ) -> None:
        self._calls = calls
        self._shop = shop
        self._refused = refused
        self._clock = clock
        self._repeat_s = repeat_s
        self._step = ""
        self._product = ""
        # From the beginning: a prober that was killed has left an order.
        self._unsure_until = clock() + UNSURE_S
        for outcome in (OK, SOLD_OUT, FAILED):
            ORDERS.labels(outcome)
        for state in OPEN:
            PLACED.labels(state)

    async def keep(self, interval_s: float) -> None:
        """
        Place an order every *interval_s* until cancelled.
        """
        while True:
            begin = self._clock()
            await self.round(limit_s=interval_s)
            await asyncio.sleep(max(0.0, begin + interval_s - self._clock()))

    async def round(self, *, limit_s: float) -> str:
        """
        Place and cancel one order within *limit_s*, count how that ended, and return it.
        """
        try:
            async with asyncio.timeout(limit_s):
                outcome = await self._order()
        except TimeoutError:
            outcome = self._failed(self._step, "timeout")
        except NotSignedIn as error:
            outcome = self._failed("sign_in", error.reason)
        except Unanswered as error:
            outcome = self._failed(self._step, error.reason)
        ORDERS.labels(outcome).inc()
        SUCCESS.labels(self._shop).set(outcome != FAILED)
        FINISHED.labels(self._shop).set_to_current_time()
        return outcome

    def _failed(self, step: str, reason: str) -> str:
        self._unsure_until = self._clock() + UNSURE_S
        FAILURES.labels(step, reason).inc()
        log.warning("probe_failed", step=step, reason=reason)
        return FAILED

    async def _order(self) -> str:
        self._step = "clean"
        if self._clock() < self._unsure_until:
            await self._clean()
        self._step = "browse"
        product = self._product or await self._in_stock()
        if not product:
            return SOLD_OUT
        self._step = "place"
        with SECONDS.labels("place").time():
            placed = await self._repeated(lambda key: rest.place(self._calls, rest.basket(product), key))
        if placed.status_code == HTTPStatus.BAD_REQUEST and repeats.reason_of(placed.json()) == "OUT_OF_STOCK":
            self._product = ""
            return SOLD_OUT
        if placed.status_code not in rest.TAKEN:
            raise self._refusal(placed)
        order = placed.json()
        # Kept, because nothing can be browsed while inventory is away, and orders are accepted all the same.
        self._product = product
        PLACED.labels(_state(order)).inc()
        self._step = "cancel"
        with SECONDS.labels("cancel").time():
            await self._cancel(order)
        return OK

    async def _in_stock(self) -> str:
        """
        Return the product that there is most of, so that nobody misses the unit that is taken for a moment.
        """
        listed = await self._calls.get("/v1/products")
        if listed.status_code != HTTPStatus.OK:
            raise self._refusal(listed)
        try:
            return next(iter(rest.in_stock(listed.json())), "")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Unanswered("unreadable") from error

    async def _clean(self) -> None:
        """
        Cancel the prober's open orders, of each state as many as are on a page.
        """
        for state in OPEN:
            listed = await self._calls.get(f"{rest.ORDERS}?state={state}")
            if listed.status_code != HTTPStatus.OK:
                raise self._refusal(listed)
            orders = listed.json().get("orders", [])
            if not isinstance(orders, list):
                raise Unanswered("unreadable")
            for order in orders:
                await self._cancel(order)

    async def _cancel(self, order: Any) -> None:
        name = order.get("name") if isinstance(order, Mapping) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Unanswered("unreadable")
        cancelled = await self._repeated(lambda key: rest.cancel(self._calls, name, key))
        # A pending order may have been rejected meanwhile, which gives its stock back as well.
        final = cancelled.status_code == HTTPStatus.BAD_REQUEST
        if cancelled.status_code != HTTPStatus.OK and not (
            final and repeats.reason_of(cancelled.json()) == "ILLEGAL_TRANSITION"
        ):
            raise self._refusal(cancelled)

    async def _repeated(self, call: Callable[[str], Any]) -> Answer:
        """
        Return the answer to *call* with a key; a conflict that passes by itself is no failure and is tried again.
        """
        key = rest.keyed()["idempotency-key"]
        for _ in range(MAX_REPEATS):
            answer: Answer = await call(key)
            if answer.status_code != HTTPStatus.CONFLICT or repeats.reason_of(answer.json()) not in repeats.REASONS:
                break
            await asyncio.sleep(self._repeat_s)
        return answer

    def _refusal(self, answer: Answer) -> Unanswered:
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._refused()
        return Unanswered(str(answer.status_code))


def _state(order: Mapping[str, Any]) -> str:
    state = order.get("state")
    return state if state in OPEN else "OTHER"
