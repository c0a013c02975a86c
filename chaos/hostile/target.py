"""The target of the attacks, and the loops that run an attack until its time or count is reached."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chaos.hostile.wire import Address, Header

Answers = Counter[str]
Attack = Callable[["Target"], Awaitable[Answers]]
PRODUCTS = "/shop.inventory.v1.InventoryService/ListProducts"
PRODUCT = "/shop.inventory.v1.InventoryService/GetProduct"
ORDERS = "/shop.orders.v1.OrderService/ListOrders"
CREATE = "/shop.orders.v1.OrderService/CreateOrder"


@dataclass(frozen=True)
class Target:
    """
    A running stack as its attackers see it; *seconds* is the duration of an attack.
    """

    edge: Address
    # The outbound listeners of orders and inventory: whoever is in the pod has its identity.
    outbound_of_orders: Address
    outbound_of_inventory: Address
    token: str
    operator_token: str
    product: str
    chance: random.Random
    seconds: float

    @property
    def bearer(self) -> Header:
        """Return the header that authenticates a call as the attacking customer's."""
        return (b"authorization", f"Bearer {self.token}".encode())

    async def volley(
        self,
        one: Callable[[int], Awaitable[str]],
        *,
        clients: int = 4,
        pause_s: float = 0.02,
        most: int = 5000,
    ) -> Answers:
        """
        Run *one* repeatedly with *clients*, at most *most* times in total; return the number of each response.
        """
        end, numbers, answers = time.monotonic() + self.seconds, iter(range(most)), Answers()

        async def client() -> None:
            for number in numbers:
                answers[await one(number)] += 1
                if time.monotonic() > end:
                    return
                await asyncio.sleep(pause_s)

        await asyncio.gather(*(client() for _ in range(clients)))
        return answers

    async def at_once(self, one: Callable[[int], Awaitable[str]], count: int) -> Answers:
        """
        Run *one* *count* times concurrently.
        """
        return Answers(await asyncio.gather(*(one(number) for number in range(count))))
