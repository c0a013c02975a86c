"""The gateway: forwards requests to the orders service."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import FastAPI, Header, HTTPException, Request, Response
from pybreaker import CircuitBreaker, CircuitBreakerError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

breaker = CircuitBreaker(fail_max=5, reset_timeout=5)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=os.environ["ORDERS_URL"], timeout=10, limits=limits) as client:
        app.state.orders = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/orders")
async def place_order(request: Request, idempotency_key: Annotated[str, Header(max_length=128)]) -> Response:
    headers = {"content-type": "application/json", "idempotency-key": idempotency_key}
    return await pass_on("POST", "/orders", content=await request.body(), headers=headers)


@app.get("/v1/orders/{order_id}")
async def get_order(order_id: str) -> Response:
    return await pass_on("GET", f"/orders/{order_id}")


async def pass_on(
    method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None
) -> Response:
    try:
        answer = await ask_orders(method, path, content, headers)
    except (httpx.TransportError, CircuitBreakerError) as error:
        raise HTTPException(503, "orders is not available") from error
    return Response(answer.content, answer.status_code, media_type="application/json")


@retry(
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.05, max=0.5),
    retry=retry_if_exception_type(httpx.TransportError),
    reraise=True,
)
async def ask_orders(method: str, path: str, content: bytes | None, headers: dict[str, str] | None) -> httpx.Response:
    with breaker.calling():
        client: httpx.AsyncClient = app.state.orders
        return await client.request(method, path, content=content, headers=headers)
