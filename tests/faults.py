"""
What customers see of each fault in chaos/faults, whichever mesh it is in force in.

A check gets a client for each customer that it names, watches until it has seen what
chaos/faults/README.md says, and returns the orders that have to be `confirmed` once it is lifted.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from shop_client import rest

FOLDER = Path(__file__).resolve().parents[1] / "chaos/faults"
# A rule's way to the sidecars, and enough calls for a fault of one in ten to happen.
SEEN_WITHIN_S = 60
VICTIM = "customer-under-test"
Client = Callable[[str], httpx.AsyncClient]


@dataclass(frozen=True)
class Answer:
    """How an order was answered, and after how many seconds."""

    status: int
    took_s: float
    name: str
    state: str


async def plentiful(client: httpx.AsyncClient) -> str:
    """Return the product that there is most of."""
    return rest.in_stock((await client.get("/v1/products")).json())[0]


async def order(client: httpx.AsyncClient, product: str = "", key: str = "") -> Answer:
    """Place an order of one unit, of what there is most of unless told otherwise."""
    basket = rest.basket(product or await plentiful(client))
    began = time.monotonic()
    answer = await rest.place(client, basket, key)
    took_s = time.monotonic() - began
    body = answer.json() if answer.status_code in rest.TAKEN else {}
    return Answer(answer.status_code, took_s, body.get("name", ""), body.get("state", ""))


async def orders_until(client: httpx.AsyncClient, seen: Callable[[Answer], bool]) -> list[Answer]:
    """Order until an answer is as looked for; fail if none is."""
    answers: list[Answer] = []
    end = time.monotonic() + SEEN_WITHIN_S
    while not answers or not seen(answers[-1]):
        assert time.monotonic() < end, f"not within {SEEN_WITHIN_S} s; answered {answers[-5:]}"
        answers.append(await order(client))
    return answers


async def holds_are_slow(client: Client) -> list[str]:
    """Slower orders; nothing lost."""
    async with client("somebody") as somebody:
        answers = await orders_until(somebody, lambda each: each.took_s >= 1)
    return acknowledged(answers)


async def holds_fail_now_and_then(client: Client) -> list[str]:
    """Some orders are PENDING, then CONFIRMED."""
    async with client("somebody") as somebody:
        answers = await orders_until(somebody, lambda each: each.state == "PENDING")
    return acknowledged(answers)


async def every_hold_fails(client: Client) -> list[str]:
    """202 PENDING for every order."""
    async with client("somebody") as somebody:
        before = await orders_until(somebody, lambda each: each.state == "PENDING")
        during = [await order(somebody) for _ in range(5)]
    assert [(each.status, each.state) for each in during] == [(202, "PENDING")] * 5
    return acknowledged([*before, *during])


async def the_edge_refuses_now_and_then(client: Client) -> list[str]:
    """An error; a repeat with the same key gives the same order."""
    async with client("somebody") as somebody:
        product, end = await plentiful(somebody), time.monotonic() + SEEN_WITHIN_S
        while True:
            assert time.monotonic() < end, f"no 503 within {SEEN_WITHIN_S} s"
            key = str(uuid.uuid4())
            answers = [await order(somebody, product, key) for _ in range(10)]
            if {each.status for each in answers} == {201, 503}:
                break
    taken = [each for each in answers if each.status == 201]
    assert len({each.name for each in taken}) == 1
    return acknowledged(taken[:1])


async def one_customer_waits(client: Client) -> list[str]:
    """That customer waits, nobody else."""
    async with client(VICTIM) as victim, client("somebody") as somebody:
        slow = await orders_until(victim, lambda each: each.took_s >= 2)
        others = [await order(somebody) for _ in range(5)]
    # The machine may be slow for anybody once, not for everybody every time.
    assert min(each.took_s for each in others) < 2
    return acknowledged([*slow, *others])


def acknowledged(answers: list[Answer]) -> list[str]:
    """Return the names of these orders, every one of which must have been taken."""
    assert {each.status for each in answers} <= {*rest.TAKEN}, answers
    return [each.name for each in answers]


async def confirmed(client: Client, names: list[str], *, within_s: float) -> None:
    """Wait until each order is CONFIRMED for the customer who placed it; fail if one is not."""
    async with client("somebody") as somebody, client(VICTIM) as victim:
        left = await rest.unconfirmed([somebody, victim], names, within_s=within_s)
    assert not left, f"{len(left)} of {len(names)} orders are not CONFIRMED after {within_s} s"


CHECKS: Mapping[str, Callable[[Client], Awaitable[list[str]]]] = {
    "inventory-delay.yaml": holds_are_slow,
    "inventory-abort-grpc.yaml": holds_fail_now_and_then,
    "inventory-abort-http.yaml": holds_fail_now_and_then,
    "inventory-down.yaml": every_hold_fails,
    "edge-abort-http.yaml": the_edge_refuses_now_and_then,
    "edge-delay-one-customer.yaml": one_customer_waits,
}
