"""Inventory: stock in Redis, reserved by a script."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from redis.asyncio import Redis

RESERVE = Path(__file__).with_name("reserve.lua").read_text()
REMEMBERED_S = 24 * 60 * 60


class Line(BaseModel):
    product: str
    quantity: int = Field(gt=0)


class Reservation(BaseModel):
    order: str
    lines: list[Line] = Field(min_length=1, max_length=100)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Redis.from_url(os.environ["REDIS_URL"]) as client:
        app.state.reserve = client.register_script(RESERVE)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/reservations")
async def reserve(reservation: Reservation) -> dict[str, Any]:
    keys = [f"reservation:{reservation.order}", *(f"stock:{line.product}" for line in reservation.lines)]
    arguments = [REMEMBERED_S, *(line.quantity for line in reservation.lines)]
    reply: dict[str, Any] = json.loads(await app.state.reserve(keys=keys, args=arguments))
    if "short" in reply:
        raise HTTPException(409, f"there is not enough of {reply['short'].removeprefix('stock:')}")
    return reply
