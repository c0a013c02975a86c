"""The stock in Redis: every change is one script, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inventory_svc import codec
from inventory_svc.scripts import Scripts
from inventory_svc.stock import (
    BacklogFull,
    Basket,
    Hold,
    HoldFulfilled,
    HoldGone,
    HoldMismatch,
    HoldReleased,
    HoldSettled,
    Listing,
    OutOfStock,
    Product,
    Rebuilding,
    Receipt,
    RequestIdReused,
    Sale,
    State,
    Stock,
    UnknownProduct,
    UnknownProducts,
)
from runtime import errors

MOST_LINES = 500
"""Lines that one script works on: a few milliseconds in which Redis does nothing else."""
MOST_HOLDS = 50
"""Holds that one script gives back; each may have a hundred lines."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Products that do not add up, how many are low, and units that confirmed orders own but are not there."""

    broken: tuple[str, ...]
    low: int
    short: int


HoldOutcome = Hold | errors.Error
"""What became of one of several orders."""


class Store:
    """
    Holds, sales, and products.

    A hold's lease ends after *lease_ms* and counts for *grace_ms* more; final holds
    are remembered for *keep_ms*. With *backlog_limit* events waiting for Kafka
    nothing more is held.
    """

    def __init__(self, scripts: Scripts, *, lease_ms: int, grace_ms: int, keep_ms: int, backlog_limit: int) -> None:
        self.scripts = scripts
        self._lease_ms = lease_ms
        self._grace_ms = grace_ms
        self._keep_ms = keep_ms
        self._backlog_limit = backlog_limit

    async def hold(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        """
        Hold each of *baskets*, all its lines or none; an outcome for each.
        """
        outcomes: list[HoldOutcome] = []
        for chunk in codec.chunks(baskets, MOST_LINES):
            try:
                outcomes += await self._hold_chunk(chunk)
            except errors.Error as error:
                outcomes += [error] * len(chunk)
        return outcomes

    async def _hold_chunk(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        generation = self.scripts.generation
        arguments = [argument for basket in baskets for argument in codec.basket_arguments(basket)]
        (replies,) = await self.scripts.call("hold", self._lease_ms, self._backlog_limit, self._keep_ms, *arguments)
        return [_held(basket, generation, reply) for basket, reply in zip(baskets, replies, strict=True)]

    async def commit(self, sales: Sequence[Sale], *, owned: bool = False) -> list[HoldOutcome]:
        """
        Sell what confirmed orders hold; an outcome for each.

        What is not held any more is sold only if the orders said just now that it
        is *owned*; otherwise its outcome is `HoldGone`.
        """
        outcomes: list[HoldOutcome] = []
        for chunk in codec.chunks(sales, MOST_LINES):
            generation = self.scripts.generation
            arguments = [argument for sale in chunk for argument in codec.sale_arguments(sale)]
            (replies,) = await self.scripts.call("commit", self._keep_ms, int(owned), *arguments)
            outcomes += [self._sold(sale, generation, reply) for sale, reply in zip(chunk, replies, strict=True)]
        return outcomes

    def _sold(self, sale: Sale, generation: int, reply: list[Any]) -> HoldOutcome:
        word, order = reply[0], sale.order
        if word in ("sold", "late"):
            return codec.hold(order, generation, reply[1], reply[2], late=word == "late")
        if word == "ahead":
            # Orders know a later generation than Redis has.
            self.scripts.lost.set()
            return Rebuilding()
        refusals: dict[str, errors.Error] = {
            "released": HoldReleased(order, "was given back"),
            "settled": HoldSettled(order, "was settled when the stock was rebuilt"),
            "gone": HoldGone(order),
        }
        return refusals.get(word) or UnknownProduct(reply[1])

    async def release(self, orders: Sequence[str]) -> list[HoldOutcome]:
        """
        Give back what *orders* hold or bought, and refuse their holds from now on; an outcome for each.
        """
        outcomes: list[HoldOutcome] = []
        for chunk in codec.slices(orders, MOST_HOLDS):
            generation = self.scripts.generation
            (replies,) = await self.scripts.call("release", self._keep_ms, *chunk)
            outcomes += [_released(order, generation, reply) for order, reply in zip(chunk, replies, strict=True)]
        return outcomes

    async def fulfil(self, orders: Sequence[str]) -> None:
        """
        Mark what *orders* bought as handed over.
        """
        for chunk in codec.slices(orders, MOST_HOLDS):
            await self.scripts.call("fulfil", self._keep_ms, *chunk)

    async def claim_expired(self, *, claim_ms: int, most: int = MOST_HOLDS) -> list[str]:
        """
        Return orders whose holds' leases have ended; for *claim_ms* no other call returns them.
        """
        (orders,) = await self.scripts.call("claim_expired", self._grace_ms, claim_ms, most)
        return list(orders)

    async def expire(self, orders: Sequence[str]) -> int:
        """
        Give back what those of *orders* hold whose lease has ended; returns how many.
        """
        count = 0
        for chunk in codec.slices(orders, MOST_HOLDS):
            (expired,) = await self.scripts.call("expire", self._keep_ms, self._grace_ms, *chunk)
            count += expired
        return count

    async def holds_of(self, orders: Sequence[str]) -> list[Hold]:
        """
        Return the holds of those of *orders* that have one.
        """
        found: list[Hold] = []
        for chunk in codec.slices(orders, MOST_HOLDS):
            generation = self.scripts.generation
            (replies,) = await self.scripts.call("look_at_all", *chunk)
            found += [codec.hold(order, generation, *rest) for order, *rest in replies]
        return found

    async def live_holds(self, *, cursor: str, most: int) -> tuple[list[Hold], str]:
        """
        Return about *most* holds that are held or sold, and where to go on, empty at the end; *cursor* "0" at first.
        """
        generation = self.scripts.generation
        after, replies = await self.scripts.call("list_holds", cursor, most)
        holds = [codec.hold(order, generation, *rest) for order, *rest in replies]
        return holds, "" if after == "0" else after

    async def list_product(self, listing: Listing, listed_ms: int) -> None:
        """
        List a product, or change its listing unless a later one is there.
        """
        amount = codec.price_text(listing.unit_price)
        texts = (listing.product, listing.display_name, listing.description, amount)
        await self.scripts.call("list_product", listed_ms, *texts, listing.low_stock)

    async def reserve(self, receipt: Receipt) -> Stock | None:
        """
        Bind the request to what it brings; returns the stock just after, if it has come in already.
        """
        word, *numbers = await self._receipt("reserve_receipt", receipt)
        return codec.stock(numbers) if word == "received" else None

    async def receive(self, receipt: Receipt) -> Stock:
        """
        Add what came in, once for each request; returns the stock just after.
        """
        _, *numbers = await self._receipt("receive", receipt)
        return codec.stock(numbers)

    async def _receipt(self, script: str, receipt: Receipt) -> list[Any]:
        reply = await self.scripts.call(script, receipt.request, receipt.product, receipt.quantity)
        if reply[0] == "differs":
            raise RequestIdReused(receipt.request.partition(" ")[2])
        if reply[0] == "unknown":
            raise UnknownProduct(receipt.product)
        return reply

    async def products(self, *, after: str | None, most: int) -> list[Product]:
        """
        Return at most *most* products by name, those after *after*.
        """
        first = "-" if after is None else f"({after}"
        (rows,) = await self.scripts.call("browse", first, "+", most)
        return [codec.product(row) for row in rows]

    async def product(self, name: str) -> Product:
        """
        Return a product, or raise `UnknownProduct`.
        """
        (rows,) = await self.scripts.call("browse", f"[{name}", f"[{name}", 1)
        if not rows:
            raise UnknownProduct(name)
        return codec.product(rows[0])

    async def audit(self) -> Audit:
        """
        Check that units are conserved for every product.
        """
        broken: list[str] = []
        low = short = 0
        first = "-"
        while True:
            last, found, low_here, short_here = await self.scripts.call("audit", first, MOST_LINES)
            broken, low, short = broken + found, low + low_here, short + short_here
            if not last:
                return Audit(tuple(broken), low, short)
            first = f"({last}"


def _held(basket: Basket, generation: int, reply: list[Any]) -> HoldOutcome:
    word, order = reply[0], basket.order
    if word == "held":
        return codec.hold(order, generation, *reply[1:])
    if word == "missing":
        numbers = reply[1]
        return OutOfStock(order, [(basket.lines[i], n) for i, n in zip(numbers[::2], numbers[1::2], strict=True)])
    if word == "unknown":
        return UnknownProducts([(index, basket.lines[index].product) for index in reply[1]])
    if word == "mismatch":
        return HoldMismatch(order, "is of other lines")
    return BacklogFull() if word == "full" else HoldReleased(order, "was given back")


def _released(order: str, generation: int, reply: list[Any]) -> HoldOutcome:
    if reply[0] == "fulfilled":
        return HoldFulfilled(order, "was handed over")
    return codec.hold(order, generation, State.RELEASED, reply[1])
