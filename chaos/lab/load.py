"""The customers of an experiment: they place, retry, read, list, cancel and watch orders, over REST and gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import httpx

from chaos.lab.edge import Edge
from chaos.lab.history import History, Outcome
from chaos.lab.wires import CALL_S, Answer, Grpc, Rest, Wire
from shop_client import rest

# A customer without a final response for so much longer than the faults last gives up, and the experiment has failed.
PATIENCE_S = 150.0
FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 2.0
# One in this many customers uses gRPC.
GRPC_EVERY = 3
# What a customer does after an order, as percentages.
HABITS = (("read", 45), ("repeat", 10), ("cancel", 8), ("list", 6), ("watch", 6))


@dataclass(frozen=True)
class LoadPlan:
    """How many customers there are, and how long each waits between two orders."""

    customers: int = 8
    pause_s: float = 0.2
    also: tuple[str, ...] = ()  # customers with fixed names, whom a fault may single out


class Load:
    """Customers who run until they are stopped, and then complete what they began."""

    def __init__(
        self,
        edge: Edge,
        history: History,
        products: Sequence[str],
        *,
        run: str,
        seed: int,
        plan: LoadPlan,
        faults_s: float,
    ) -> None:
        self._edge = edge
        self._history = history
        self._products = list(products)
        self._run = run
        self._seed = seed
        self._plan = plan
        self._give_up_s = faults_s + PATIENCE_S
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._wires: list[tuple[str, Wire]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the customers during the block; leaving it cancels what is still open."""
        async with contextlib.AsyncExitStack() as stack:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(self._edge.address))
            names = [f"{self._run}-{number}" for number in range(self._plan.customers)]
            for number, name in enumerate((*names, *self._plan.also)):
                self._wires.append((name, await self._wire(stack, channel, name, number)))
            self.more(1)
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def more(self, factor: int) -> Callable[[], None]:
        """
        Multiply the load of each customer by *factor*; the returned function ends that.
        """
        added = asyncio.Event()
        for turn in range(factor):
            for name, wire in self._wires:
                chance = random.Random(f"{self._seed}/{name}/{turn}/{len(self._tasks)}")  # noqa: S311 - repeatable
                self._tasks.append(asyncio.create_task(self._shop(name, wire, chance, added)))
        return added.set

    async def stop(self) -> None:
        """Start nothing new, and wait for what was begun; raises a customer's unexpected error."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _wire(self, stack: contextlib.AsyncExitStack, channel: grpc.aio.Channel, name: str, number: int) -> Wire:
        if number % GRPC_EVERY == GRPC_EVERY - 1:
            return Grpc(channel, self._edge.metadata(name))
        signed = rest.signed(self._edge.token(name))
        client = httpx.AsyncClient(base_url=self._edge.url, headers=signed, timeout=CALL_S, trust_env=False)
        return Rest(await stack.enter_async_context(client))

    async def _shop(self, name: str, wire: Wire, chance: random.Random, ended: asyncio.Event) -> None:
        while not (self._stopping.is_set() or ended.is_set()):
            await self._order(name, wire, chance)
            await asyncio.sleep(self._plan.pause_s * chance.uniform(0.5, 1.5))

    async def _order(self, name: str, wire: Wire, chance: random.Random) -> None:
        products = chance.sample(self._products, chance.randint(1, 2))
        lines = {product: chance.randint(1, 3) for product in products}
        key = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        answer = await self._until_answered(name, "place", lambda: wire.place(lines, key), chance, key=key, lines=lines)
        if answer.outcome is not Outcome.OK:
            return
        order = answer.response["order"]
        drawn = chance.choices([habit for habit, _ in HABITS] + ["nothing"], [*(part for _, part in HABITS), 25])[0]
        if drawn == "read":
            await self._once(name, "read", wire.read(order), order=order)
        elif drawn == "repeat":
            await self._until_answered(name, "place", lambda: wire.place(lines, key), chance, key=key, lines=lines)
        elif drawn == "cancel":
            cancel_key = f"cancel-{key}"
            await self._until_answered(name, "cancel", lambda: wire.cancel(order, cancel_key), chance, order=order)
        elif drawn == "list":
            await self._once(name, "list", wire.orders())
        elif drawn == "watch" and isinstance(wire, Grpc):
            await self._once(name, "watch", wire.watch(order), order=order)

    async def _once(self, name: str, operation: str, asking: Any, **request: Any) -> Answer:
        call = self._history.invoked(name, operation, **request)
        try:
            answer: Answer = await asking
        except asyncio.CancelledError:
            self._history.ended(call, Outcome.UNKNOWN, reason="the experiment ended")
            raise
        self._history.ended(call, answer.outcome, **answer.response)
        return answer

    async def _until_answered(
        self, name: str, operation: str, make: Callable[[], Any], chance: random.Random, **request: Any
    ) -> Answer:
        """Retry a call with its key until it gets a final response, as the contract allows."""
        end, pause_s = self._history.now() + self._give_up_s, FIRST_PAUSE_S
        while True:
            answer = await self._once(name, operation, make(), **request)
            if not answer.again or self._history.now() > end:
                return answer
            await asyncio.sleep(chance.uniform(0, pause_s))
            pause_s = min(MAX_PAUSE_S, pause_s * 2)
