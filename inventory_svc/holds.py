"""
The use cases: hold, commit, release, restock.

An order that is confirmed owns its stock, whatever happened to its hold:

- Its hold exists: it is sold. - It was confirmed on an older generation: the rebuild counted what orders own at the
point where it fenced that generation, this order included. - Its hold's lease ended. The orders are asked: if it owns
its units, which clocks that differ by more than the lease's grace can cause, they are taken again from the available
ones. Missing units are recorded as `short`, and the next units that are received or released go to it. If not, it was
cancelled since; that is remembered, because its CANCELLED event must then release nothing. - Its generation is not in
Redis. The orders are asked for theirs: if they are ahead, a rebuild is under way. If not, there never was such a
generation (their database was restored, or a producer is faulty); owned units are sold, and other events are rejected
permanently.

A cancelled order releases what it holds or, in the generation in which it was cancelled, what it bought. Changes from
before a generation started are included in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from prometheus_client import Counter

from inventory_svc.generation import CurrentGeneration
from inventory_svc.ports import HoldOutcome, Ledger, Orders, Stocks
from inventory_svc.refusals import Ahead, HoldGone, HoldSettled, NoSuchGeneration, Rebuilding, Undecided
from inventory_svc.stock import Basket, Hold, Product, Receipt, Return, Sale, Stock
from runtime import errors
from runtime.batching import Batcher

HOLDS = Counter("inventory_holds", "Requested holds, by outcome.", ["outcome"])
LATE = Counter("inventory_late_commits", "Orders whose stock was sold after their lease had ended; alert on any.")
UNDECIDED = Counter(
    "inventory_undecided_events", "Events of orders of which too much was forgotten; each makes the stock be rebuilt."
)
MAX_TOGETHER = 128
"""Baskets that arrive concurrently and share one script call."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Restocked:
    """A product after a receipt; *repeated* if the request was applied before."""

    product: Product
    repeated: bool


class Inventory:
    """The use cases that change the stock."""

    def __init__(self, stocks: Stocks, ledger: Ledger, orders: Orders, current: CurrentGeneration) -> None:
        self._stocks = stocks
        self._ledger = ledger
        self._orders = orders
        self._current = current
        self._together: Batcher[Basket, Hold] = Batcher(self.hold_all, name="hold baskets", max_batch=MAX_TOGETHER)

    async def hold(self, basket: Basket) -> Hold:
        """
        Hold all of *basket* or nothing, in a batch with others that arrive concurrently.
        """
        return await self._together.submit(basket)

    async def hold_all(self, baskets: Sequence[Basket]) -> list[HoldOutcome]:
        """
        Hold each of *baskets*: all its lines or none; return an outcome for each.
        """
        outcomes = await self._stocks.hold(baskets)
        for outcome in outcomes:
            HOLDS.labels(outcome.reason if isinstance(outcome, errors.Error) else "HELD").inc()
        return outcomes

    async def commit(self, order: str) -> Hold:
        """
        Turn the hold of *order* into a sale.
        """
        (outcome,) = await self._stocks.commit([Sale(order, ())])
        return _hold(outcome)

    async def release(self, order: str) -> Hold:
        """
        Release the hold of *order*.
        """
        (outcome,) = await self._stocks.release([Return(order)])
        return _hold(outcome)

    async def commit_all(self, sales: Sequence[Sale]) -> list[HoldOutcome]:
        """
        Commit the holds of confirmed orders; an outcome for each, `Rebuilding` where it must be redelivered.
        """
        outcomes = await self._stocks.commit(sales)
        for kind, settle in ((Ahead, self._commit_ahead), (HoldGone, self._commit_late)):
            indices = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, kind)]
            if indices:
                settled = await settle([sales[index] for index in indices])
                for index, outcome in zip(indices, settled, strict=True):
                    outcomes[index] = outcome
        return self._decided(outcomes)

    async def _commit_late(self, sales: Sequence[Sale]) -> list[HoldOutcome]:
        """
        Commit units that orders own although their hold is gone, and remember orders cancelled since.
        """
        generation = self._current.number
        owners = await self._orders.owners([sale.order for sale in sales], generation=generation)
        late = await self._stocks.commit([sale for sale in sales if sale.order in owners], owned=True)
        for outcome in late:
            if isinstance(outcome, Hold) and outcome.late:
                LATE.inc()
                log.error("committed_after_lease", order=f"orders/{outcome.order}")
        rest = [sale for sale in sales if sale.order not in owners]
        await self._stocks.release([Return(sale.order) for sale in rest])
        outcomes: dict[str, HoldOutcome] = {sale.order: HoldGone(sale.order) for sale in rest}
        return [outcomes.get(sale.order) or late.pop(0) for sale in sales]

    async def _commit_ahead(self, sales: Sequence[Sale]) -> list[HoldOutcome]:
        """
        Commit units that orders own although the generation does not exist; `Rebuilding` if it does.
        """
        known = await self._orders.generation()
        rest = [sale for sale in sales if sale.generation > known]
        if len(rest) < len(sales):
            self._current.doubted.set()
        outcomes: dict[str, HoldOutcome] = {sale.order: Rebuilding() for sale in sales if sale.generation <= known}
        if rest:
            outcomes |= await self._commit_unknown(rest)
        return [outcomes[sale.order] for sale in sales]

    async def _commit_unknown(self, sales: Sequence[Sale]) -> dict[str, HoldOutcome]:
        generation = self._current.number
        names = [sale.order for sale in sales]
        here = await self._orders.owners(names, generation=generation)
        before = await self._orders.owners(names, generation=0)
        mine = [replace(sale, generation=generation) for sale in sales if sale.order in here]
        sold = await self._stocks.commit(mine, owned=True)
        outcomes: dict[str, HoldOutcome] = {sale.order: outcome for sale, outcome in zip(mine, sold, strict=True)}
        for sale in sales:
            if sale.order not in here:
                settled = HoldSettled(sale.order, "was settled when the stock was rebuilt")
                outcomes[sale.order] = settled if sale.order in before else _no_such(sale.order, sale.generation)
        return outcomes

    async def release_all(self, returns: Sequence[Return]) -> list[HoldOutcome]:
        """
        Release what orders hold or bought; return an outcome for each, `Rebuilding` where it must be repeated.
        """
        outcomes = await self._stocks.release(returns)
        if any(isinstance(outcome, Ahead) for outcome in outcomes):
            known = await self._orders.generation()
            for index, back in enumerate(returns):
                if isinstance(outcomes[index], Ahead):
                    outcomes[index] = self._release_ahead(back, known)
        return self._decided(outcomes)

    def _release_ahead(self, back: Return, known: int) -> errors.Error:
        if back.generation > known:
            return _no_such(back.order, back.generation)
        self._current.doubted.set()
        return Rebuilding()

    def _decided(self, outcomes: list[HoldOutcome]) -> list[HoldOutcome]:
        """
        Request a rebuild, which decides what cannot be decided in this generation.
        """
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, Undecided):
                UNDECIDED.inc()
                log.error("event_undecided", hold=outcome.metadata["hold"], generation=self._current.number)
                self._current.retire(self._current.number)
                outcomes[index] = Rebuilding()
        return outcomes

    async def restock(self, receipt: Receipt) -> Restocked:
        """
        Add units: first bind the request id to them, then make them durable, then apply them.

        A retry repeats the same steps and changes nothing. If this is interrupted, the follower of the ledger finishes
        it.
        """
        before = await self._stocks.reserve(receipt)
        if before is not None:
            return Restocked(await self._with_stock(receipt.product, before), repeated=True)
        await self._ledger.record_receipts([receipt])
        after = await self._stocks.receive(receipt)
        return Restocked(await self._with_stock(receipt.product, after), repeated=False)

    async def _with_stock(self, name: str, stock: Stock) -> Product:
        product = await self._stocks.product(name)
        return Product(product.listing, stock)

    async def rebuild(self, generation: int) -> None:
        """
        Request a rebuild of the stock of *generation*; it does nothing if there is a later one.
        """
        self._current.retire(generation)


def _no_such(order: str, generation: int) -> NoSuchGeneration:
    return NoSuchGeneration(order, f"is of generation {generation}, which never began")


def _hold(outcome: HoldOutcome) -> Hold:
    if isinstance(outcome, errors.Error):
        raise outcome
    return outcome
