"""Orders: reserves stock, stores the order, publishes to Kafka; without inventory it accepts and confirms later."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI, Header, HTTPException, Response
from pybreaker import CircuitBreaker, CircuitBreakerError
from pydantic import BaseModel, Field
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

ORDER_EVENTS = os.environ.get("ORDER_EVENTS", "order_events")
PENDING_ORDERS = os.environ.get("PENDING_ORDERS", "pending_orders")
INSERT = """
INSERT INTO orders (id, idempotency_key, state, lines, total) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (idempotency_key) DO NOTHING RETURNING id
"""
FIND = "SELECT id, state, lines, total FROM orders WHERE idempotency_key = $1"
GET = "SELECT id, state, lines, total FROM orders WHERE id = $1"
MOVE = """
UPDATE orders SET state = $2, total = $3, updated_at = now() WHERE id = $1 AND state = 'PENDING'
RETURNING id, state, lines, total
"""
AWAY = (httpx.TransportError, httpx.HTTPStatusError, CircuitBreakerError)
breaker = CircuitBreaker(fail_max=5, reset_timeout=5)


class Line(BaseModel):
    product: str
    quantity: int = Field(gt=0)


class NewOrder(BaseModel):
    lines: list[Line] = Field(min_length=1, max_length=100)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    brokers = os.environ["KAFKA_BROKERS"]
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all")
    consumer = AIOKafkaConsumer(
        PENDING_ORDERS,
        bootstrap_servers=brokers,
        group_id=f"confirm-{PENDING_ORDERS}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=5, max_size=10) as app.state.pool,
        httpx.AsyncClient(base_url=os.environ["INVENTORY_URL"], timeout=2, limits=limits) as app.state.inventory,
        producer as app.state.producer,
        consumer,
    ):
        confirming = asyncio.create_task(confirm_pending_orders(consumer))
        yield
        confirming.cancel()
        with suppress(asyncio.CancelledError):
            await confirming


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def place_order(
    order: NewOrder, response: Response, idempotency_key: Annotated[str, Header(max_length=128)]
) -> dict[str, Any]:
    # The same key is the same order, so that a retry finds the reservation of the first try.
    order_id = uuid.uuid5(uuid.NAMESPACE_OID, idempotency_key)
    lines = [line.model_dump() for line in order.lines]
    state, total = "PENDING", None
    with suppress(*AWAY):
        total = await reserve(order_id, lines)
        state = "CONFIRMED"
    written = json.dumps(lines)
    row = await app.state.pool.fetchrow(INSERT, order_id, idempotency_key, state, written, total)
    if row is None:
        row = await app.state.pool.fetchrow(FIND, idempotency_key)
        response.status_code = 202 if row["state"] == "PENDING" else 201
        return shown(row)
    placed = {"name": f"orders/{order_id}", "state": state, "lines": lines, "total": total}
    await publish(ORDER_EVENTS, placed)
    if state == "PENDING":
        await publish(PENDING_ORDERS, placed)
    response.status_code = 202 if state == "PENDING" else 201
    return placed


@app.get("/orders/{order_id}")
async def get_order(order_id: uuid.UUID) -> dict[str, Any]:
    row = await app.state.pool.fetchrow(GET, order_id)
    if row is None:
        raise HTTPException(404, "there is no such order")
    return shown(row)


async def reserve(order_id: uuid.UUID, lines: list[dict[str, Any]]) -> int:
    """Return the order's total in cents; 409 if stock is insufficient."""
    answer = await ask_inventory({"order": str(order_id), "lines": lines})
    if answer.status_code != 200:
        raise HTTPException(answer.status_code, answer.json()["detail"])
    return int(answer.json()["total"])


@retry(
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.05, max=0.5),
    retry=retry_if_exception_type((httpx.TransportError, httpx.HTTPStatusError)),
    reraise=True,
)
async def ask_inventory(reservation: dict[str, Any]) -> httpx.Response:
    with breaker.calling():
        client: httpx.AsyncClient = app.state.inventory
        answer = await client.post("/reservations", json=reservation)
        if answer.status_code >= 500:
            answer.raise_for_status()
        return answer


async def publish(topic: str, order: dict[str, Any]) -> None:
    await app.state.producer.send_and_wait(topic, json.dumps(order).encode(), key=order["name"].encode())


async def confirm_pending_orders(consumer: AIOKafkaConsumer) -> None:
    while True:
        batches = await consumer.getmany(timeout_ms=1000, max_records=100)
        waiting = [json.loads(message.value) for batch in batches.values() for message in batch]
        if waiting:
            await asyncio.gather(*(confirm(order) for order in waiting))
            await consumer.commit()


async def confirm(order: dict[str, Any]) -> None:
    order_id = uuid.UUID(order["name"].removeprefix("orders/"))
    while True:
        try:
            state, total = "CONFIRMED", await reserve(order_id, order["lines"])
        except AWAY:
            await asyncio.sleep(1)
            continue
        except HTTPException:
            state, total = "REJECTED", None
        break
    row = await app.state.pool.fetchrow(MOVE, order_id, state, total)
    if row is not None:
        await publish(ORDER_EVENTS, shown(row))


def shown(row: Any) -> dict[str, Any]:
    return {
        "name": f"orders/{row['id']}",
        "state": row["state"],
        "lines": json.loads(row["lines"]),
        "total": row["total"],
    }
