"""The stock in Redis: every change is one script, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inventory_svc import codec
from inventory_svc.generation import CurrentGeneration
from inventory_svc.ports import Audit, HoldOutcome, Memory
from inventory_svc.refusals import (
    Ahead,
    BacklogFull,
    HoldCommitted,
    HoldGone,
    HoldMismatch,
    HoldReleased,
    HoldSettled,
    OutOfStock,
    TooManyProducts,
    Undecided,
    UnknownProduct,
    UnknownProducts,
)
from inventory_svc.scripts import Scripts
from inventory_svc.stock import MAX_PRODUCTS, Basket, Hold, Listing, Product, Receipt, Return, Sale, State, Stock
from runtime import errors
from runtime.money import MixedCurrencies, TotalTooLarge
from runtime.refusals import IdempotencyKeyReused

MAX_SCRIPT_LINES = 500
"""The most lines of one script call: a few milliseconds in which Redis does nothing else."""
MAX_SCRIPT_HOLDS = 50
"""Holds that one script call releases; each may have a hundred lines."""
SHARDS_AT_A_TIME = 32
"""The most final orders that one script call examines for pruning."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Retention times and limits.

    A hold's lease ends after *lease_ms* plus *grace_ms*; final orders are remembered for *keep_ms*, and at most about
    *max_remembered* of them. With *max_backlog* events waiting for Kafka nothing more is held.
    """

    lease_ms: int
    grace_ms: int
    keep_ms: int
    max_backlog: int
    max_remembered: int = 1_200_000


class Store:
    """Holds, commits, and products, in the generation that *current* names."""

    def __init__(self, scripts: Scripts, current: CurrentGeneration, limits: Limits) -> None:
        self._scripts = scripts
        self._current = current
        self._limits = limits

    async def hold(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        """
        Hold each of *baskets*: all its lines or none; return an outcome for each.
        """
        outcomes: list[HoldOutcome] = []
        for chunk in codec.chunks(baskets, MAX_SCRIPT_LINES):
            try:
                outcomes += await self._hold_chunk(chunk)
            except errors.Error as error:
                outcomes += [error] * len(chunk)
        return outcomes

    async def _hold_chunk(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        self._current.require_accepted()
        generation = self._current.number
        arguments = [argument for basket in baskets for argument in codec.basket_arguments(basket)]
        (replies,) = await self._scripts.call("hold", self._limits.lease_ms, self._limits.max_backlog, *arguments)
        return [_held(basket, generation, reply) for basket, reply in zip(baskets, replies, strict=True)]

    async def commit(self, sales: Sequence[Sale], *, owned: bool = False) -> list[HoldOutcome]:
        """
        Commit the holds of confirmed orders; an outcome for each.

        Units that are no longer held are sold only if the orders reported just now that the order is *owned*;
        otherwise its outcome is `HoldGone`.
        """
        outcomes: list[HoldOutcome] = []
        for chunk in codec.chunks(sales, MAX_SCRIPT_LINES):
            generation = self._current.number
            arguments = [argument for sale in chunk for argument in codec.sale_arguments(sale)]
            (replies,) = await self._scripts.call("commit", int(owned), *arguments)
            outcomes += [_sold(sale, generation, reply) for sale, reply in zip(chunk, replies, strict=True)]
        return outcomes

    async def release(self, returns: Sequence[Return]) -> list[HoldOutcome]:
        """
        Release what orders hold or bought, and refuse later holds of theirs; return an outcome for each.
        """
        outcomes: list[HoldOutcome] = []
        for chunk in codec.chunks(returns, MAX_SCRIPT_LINES):
            generation = self._current.number
            arguments = [argument for back in chunk for argument in codec.return_arguments(back)]
            (replies,) = await self._scripts.call("release", *arguments)
            outcomes += [_released(back, generation, reply) for back, reply in zip(chunk, replies, strict=True)]
        return outcomes

    async def claim_expired(self, *, claim_ms: int, limit: int = MAX_SCRIPT_HOLDS) -> list[str]:
        """
        Return orders whose holds' leases have ended; for *claim_ms* no other call returns them.
        """
        (orders,) = await self._scripts.call("claim_expired", self._limits.grace_ms, claim_ms, limit)
        return list(orders)

    async def expire(self, orders: Sequence[str]) -> int:
        """
        Release the holds of those of *orders* whose lease has ended; returns how many.
        """
        count = 0
        for chunk in codec.slices(orders, MAX_SCRIPT_HOLDS):
            (expired,) = await self._scripts.call("expire", self._limits.grace_ms, *chunk)
            count += expired
        return count

    async def holds_of(self, orders: Sequence[str]) -> list[Hold]:
        """
        Return the holds of those of *orders* that have one, or had one that is remembered.
        """
        found: list[Hold] = []
        for chunk in codec.slices(orders, MAX_SCRIPT_HOLDS):
            generation = self._current.number
            (replies,) = await self._scripts.call("look_at_all", *chunk)
            found += [codec.hold(order, generation, *rest) for order, *rest in replies]
        return found

    async def open_holds(self, *, cursor: str, limit: int) -> tuple[list[Hold], str]:
        """
        Return about *limit* open holds, and where to go on, empty at the end; *cursor* "0" at first.
        """
        generation = self._current.number
        after, replies = await self._scripts.call("list_holds", cursor, limit)
        holds = [codec.hold(order, generation, *rest) for order, *rest in replies]
        return holds, "" if after == "0" else after

    async def forget(self) -> Memory:
        """
        Prune some of the final orders that are old enough, or too many.
        """
        forgotten, left, more = await self._scripts.call(
            "forget", self._limits.keep_ms, self._limits.max_remembered, SHARDS_AT_A_TIME
        )
        return Memory(forgotten, left, bool(more))

    async def list_product(self, listing: Listing, listed_ms: int) -> None:
        """
        List a product, or change its listing unless a later one is there.
        """
        amount = codec.price_text(listing.unit_price)
        texts = (listing.product, listing.display_name, listing.description, amount)
        (word,) = await self._scripts.call("list_product", listed_ms, MAX_PRODUCTS, *texts, listing.low_stock)
        if word == "full":
            raise TooManyProducts(listing.product)

    async def reserve(self, receipt: Receipt) -> Stock | None:
        """
        Bind the request id to its receipt; return the stock just after it, if it was applied already.
        """
        word, *numbers = await self._receipt("reserve_receipt", receipt)
        return codec.stock(numbers) if word == "received" else None

    async def receive(self, receipt: Receipt) -> Stock:
        """
        Apply a receipt, once for each request id; return the stock just after it.
        """
        _, *numbers = await self._receipt("receive", receipt)
        return codec.stock(numbers)

    async def _receipt(self, script: str, receipt: Receipt) -> list[Any]:
        reply = await self._scripts.call(script, receipt.request, receipt.product, receipt.quantity)
        if reply[0] == "differs":
            raise IdempotencyKeyReused.of(receipt.request.rpartition(" ")[2])
        if reply[0] == "unknown":
            raise UnknownProduct(receipt.product)
        return reply

    async def products(self, *, after: str | None, limit: int) -> list[Product]:
        """
        Return at most *limit* products by name, those after *after*.
        """
        first = "-" if after is None else f"({after}"
        (rows,) = await self._scripts.call("browse", first, "+", limit)
        return [codec.product(row) for row in rows]

    async def product(self, name: str) -> Product:
        """
        Return a product, or raise `UnknownProduct`.
        """
        (rows,) = await self._scripts.call("browse", f"[{name}", f"[{name}", 1)
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
            last, found, low_here, short_here = await self._scripts.call("audit", first, MAX_SCRIPT_LINES)
            broken, low, short = broken + found, low + low_here, short + short_here
            if not last:
                return Audit(tuple(broken), low, short)
            first = f"({last}"


def _held(basket: Basket, generation: int, reply: list[Any]) -> HoldOutcome:
    word, order = reply[0], basket.order
    if word in ("held", "committed"):
        return codec.hold(order, generation, word, *reply[1:])
    if word == "missing":
        numbers = reply[1]
        return OutOfStock(order, [(basket.lines[i], n) for i, n in zip(numbers[::2], numbers[1::2], strict=True)])
    if word == "unknown":
        return UnknownProducts([(index, basket.lines[index].product) for index in reply[1]])
    if word == "mixed":
        return MixedCurrencies(reply[1])
    if word == "dear":
        return TotalTooLarge()
    if word == "mismatch":
        return HoldMismatch(order, "is of other lines")
    return BacklogFull() if word == "full" else HoldReleased(order, "was given back")


def _sold(sale: Sale, generation: int, reply: list[Any]) -> HoldOutcome:
    word, order = reply[0], sale.order
    if word == "sold":
        return codec.hold(order, generation, State.COMMITTED, reply[1])
    if word == "late":
        return Hold(order, sale.lines, State.COMMITTED, generation, late=True)
    if word == "gone":
        return HoldGone(order)
    return _refusal(order, sale.generation, reply)


def _released(back: Return, generation: int, reply: list[Any]) -> HoldOutcome:
    if reply[0] == "released":
        return Hold(back.order, (), State.RELEASED, generation)
    return _refusal(back.order, back.generation, reply)


def _refusal(order: str, generation: int, reply: list[Any]) -> errors.Error:
    if reply[0] == "unknown":
        return UnknownProduct(reply[1])
    kinds: dict[str, errors.Error] = {
        "released": HoldReleased(order, "was given back"),
        "committed": HoldCommitted(order, "is sold"),
        "settled": HoldSettled(order, "was settled when the stock was rebuilt"),
        "ahead": Ahead(order, f"is of generation {generation}, which is not here"),
        "undecided": Undecided(order, "may be settled already, which is forgotten"),
    }
    return kinds[reply[0]]
