"""The whole system in one process: stores, network, replicas, and those who use it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest import mock

from shop.orders.v1 import order_pb2

from inventory_svc import ledger as ledger_module
from inventory_svc.ledger import Ledger
from inventory_svc.stock import Listing, Receipt
from inventory_svc.topics import DEAD_EVENTS, LEDGER, ORDER_EVENTS, STOCK_EVENTS
from orders_svc import saga
from orders_svc.order import Draft, Line
from orders_svc.topics import DEAD_ORDERS
from runtime.caller import Caller
from runtime.clock import now, now_ms
from runtime.errors import DeadlineExceeded, Error, Internal, ResourceExhausted, Unavailable
from runtime.messaging import consumer as consumer_module
from runtime.messaging.cluster import KafkaCluster
from runtime.money import Money
from runtime.refusals import IdempotencyKeyReused
from tests.simulation import kafka, postgres, redis
from tests.simulation.invariants import Invariants
from tests.simulation.loop import Loop, Process
from tests.simulation.mesh import Mesh
from tests.simulation.network import Network
from tests.simulation.plan import PRODUCTS, Operation, Plan
from tests.simulation.replicas import DELAYS_S, INVENTORY, ORDERS, REPLICAS
from tests.simulation.trace import Trace

PRICE = Money.of("EUR", 3, 500_000_000)
CALL_S = 3.0
TRIES = 12
SLICE = 2
IMPATIENT = 4
"""One in so many customers asks once: what is held for an order that never comes must come back."""
AGAIN = (Unavailable, DeadlineExceeded, ResourceExhausted)


class World:
    """Everything of one run; *rng* draws what the plan leaves open."""

    def __init__(self, plan: Plan, loop: Loop, rng: random.Random) -> None:
        self.plan = plan
        self.rng = rng
        self.trace = Trace(loop)
        self.network = Network(rng)
        self.postgres = postgres.Server(self.network, rng)
        self.redis = redis.Server(self.network, rng)
        self.kafka = kafka.Broker(self.network, rng)
        self.mesh = Mesh(self.network, rng)
        self.invariants = Invariants(self)
        self.processes: dict[str, Process] = {}
        self.drafts = {each.order: _draft(each) for each in plan.operations if each.kind == "place"}

    @contextlib.contextmanager
    def in_force(self) -> Any:
        """
        Have the services' code meet these stores where it makes its own way to Kafka.
        """
        with (
            mock.patch.object(consumer_module, "AIOConsumer", self._consumer),
            mock.patch.object(consumer_module, "_left_open", []),
            mock.patch.object(consumer_module, "asking", self._asking),
            mock.patch.object(ledger_module, "read_to_end", self._read),
        ):
            yield

    def _consumer(self, settings: Any, **_: Any) -> Any:
        return kafka.Consumer(self.kafka, settings)

    def _asking(self, _: Any, topics: Sequence[str]) -> Any:
        return partial(kafka.topic_ids, self.kafka, topics)

    def _read(self, _: str, topic: str, **how: Any) -> Any:
        return kafka.read_to_end(self.kafka, topic, **how)

    async def begin(self) -> None:
        """
        Make the topics, write the products into the ledger, and start two replicas of each service.
        """
        self.kafka.make_topic(LEDGER.name, 1)
        for stage in saga.stages(DELAYS_S):
            self.kafka.make_topic(stage.topic)
        for topic in (ORDER_EVENTS, STOCK_EVENTS.name, DEAD_EVENTS.name, DEAD_ORDERS):
            self.kafka.make_topic(topic)
        publisher: Any = kafka.Publisher(self.kafka, "migrate")
        ledger = Ledger(publisher, KafkaCluster("kafka"), now_ms=now_ms)
        await ledger.record_listings([Listing(name, name.title(), "", PRICE, 2) for name in PRODUCTS], 1)
        await ledger.record_receipts([Receipt(f"seed {name}", name, units) for name, units in PRODUCTS.items()])
        for number in range(2):
            for service in (ORDERS, INVENTORY):
                self.start(f"{service}-{number}")

    def start(self, name: str) -> None:
        """
        Start a replica.
        """
        process = self.processes[name] = Process(name)

        async def build() -> None:
            REPLICAS[name.partition("-")[0]](self, process)

        process.start(build())

    async def use(self, operation: Operation) -> None:
        """
        Do what *operation* wants, again and again while the answer is not known.
        """
        for attempt in range(1 if operation.kind == "place" and operation.order % IMPATIENT == 0 else TRIES):
            try:
                await self._ask(operation)
            except AGAIN as error:
                self.trace.note(operation.customer, f"{operation.kind} #{operation.order}: {error.reason}")
                await asyncio.sleep(self.rng.uniform(0.1, 1.0 + attempt))
                continue
            except (Internal, IdempotencyKeyReused) as error:
                self.invariants.fail(f"{operation} was answered {error.reason}: {error.message}")
            except Error as error:
                self.trace.note(operation.customer, f"{operation.kind} #{operation.order}: {error.reason}")
            return

    async def _ask(self, operation: Operation) -> None:
        if operation.kind == "restock":
            await self._restock(operation)
            return
        if operation.kind == "erase":
            await self.mesh.call(ORDERS, lambda replica: _erase(replica.customers, operation.customer), limit_s=CALL_S)
            self.trace.note("op", f"{operation.customer} is erased")
            return
        draft = self.drafts.get(operation.order)
        if draft is None:
            return
        answer = await self.mesh.call(ORDERS, lambda replica: _work(replica.checkout, operation, draft), limit_s=CALL_S)
        order = order_pb2.Order.FromString(answer.snapshot)
        state = order_pb2.Order.State.Name(order.state)
        self.trace.note(operation.customer, f"{operation.kind} #{operation.order}: {state} version {order.version}")
        kind = "place" if operation.kind == "repeat" else operation.kind
        request = f"{kind} #{operation.order} of {operation.customer}"
        self.invariants.saw_answer(request, draft.order_id, order.version, answer.snapshot)

    async def _restock(self, operation: Operation) -> None:
        ((product, quantity),) = operation.lines
        receipt = Receipt(f"op r{operation.order}", product, quantity)
        await self.mesh.call("restock", lambda replica: replica.inventory.restock(receipt), limit_s=CALL_S)
        self.trace.note("op", f"restock {quantity} {product}")
        self.invariants.restocked[product] += quantity


def _draft(operation: Operation) -> Draft:
    lines = tuple(Line(f"products/{product}", quantity) for product, quantity in operation.lines)
    return Draft(operation.customer, f"r{operation.order}", lines)


async def _erase(customers: Any, customer: str) -> None:
    """
    Erase the customer of what is final, and their request ids, though they go on ordering.
    """
    while await customers.erase_orders(customer, at=now(), limit=SLICE):
        pass
    while await customers.erase_requests(customer, limit=SLICE):
        pass


async def _work(checkout: Any, operation: Operation, draft: Draft) -> Any:
    if operation.kind in ("place", "repeat"):
        return await checkout.place(draft)
    caller = Caller(draft.customer, operator=operation.kind == "fulfil")
    method = checkout.cancel if operation.kind == "cancel" else checkout.fulfil
    return await method(caller, draft.order_id, request_id=f"{operation.kind}{operation.order}")
