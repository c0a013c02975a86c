"""
Orders by the JSON API, over any client that posts and gets as httpx does: its own, awaited or not, or `plain`'s.

What a function returns is what the client returns: an answer, or what is awaited for one.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

ORDERS = "/v1/orders"
# An order that was acknowledged: confirmed at once, or waiting for its stock.
TAKEN = (201, 202)
Result = TypeVar("Result")
Returned = TypeVar("Returned", covariant=True)
Basket = dict[str, Any]


class Poster(Protocol[Returned]):
    """A client whose base is the shop's address, signed in."""

    def post(self, url: str, *, json: Any, headers: dict[str, str]) -> Returned:
        """POST *json*."""


class Answer(Protocol):
    """What a client got."""

    @property
    def status_code(self) -> int:
        """Return the HTTP status."""

    def json(self) -> Any:
        """Return the body."""


class Getter(Protocol):
    """An asynchronous client."""

    def get(self, url: str) -> Coroutine[Any, Any, Answer]:
        """GET what is there."""


def signed(token: str) -> dict[str, str]:
    """
    Return the header that makes a call its bearer's.
    """
    return {"authorization": f"Bearer {token}"}


def keyed(key: str = "") -> dict[str, str]:
    """
    Return the header that names an intent: *key*, or a new one.
    """
    return {"idempotency-key": key or str(uuid.uuid4())}


def basket(product: str, quantity: int = 1) -> Basket:
    """
    Return an order of one line.
    """
    return {"lines": [{"product": product, "quantity": quantity}]}


def place(client: Poster[Result], order: Basket, key: str = "", **headers: str) -> Result:
    """
    Place *order*, with a key of its own unless one is given: repeated with it, it is the same order.
    """
    return client.post(ORDERS, json=order, headers=headers | keyed(key))


def cancel(client: Poster[Result], name: str, key: str = "") -> Result:
    """
    Cancel the order of this name.
    """
    return client.post(f"/v1/{name}:cancel", json={}, headers=keyed(key))


def restock(client: Poster[Result], product: str, quantity: int) -> Result:
    """
    Bring units of a product; only operators may.
    """
    return client.post(f"/v1/{product}:restock", json={"quantity": quantity}, headers=keyed())


def in_stock(listed: Mapping[str, Any], *, at_least: int = 1) -> list[str]:
    """
    Return the names of the products in a page of them of which there are so many, what there is most of first.
    """
    available = {each["name"]: int(each.get("stock", {}).get("available", 0)) for each in listed.get("products", [])}
    return sorted((name for name, units in available.items() if units >= at_least), key=lambda name: -available[name])


async def unconfirmed(
    clients: Sequence[Getter], names: Collection[str], *, within_s: float, every_s: float = 0.5
) -> set[str]:
    """
    Follow the orders until each is CONFIRMED for one of *clients*; return those that are not *within_s*.
    """
    end, left = time.monotonic() + within_s, set(names)
    while left:
        for name in sorted(left):
            answers = [await client.get(f"/v1/{name}") for client in clients]
            if any(each.status_code == 200 and each.json()["state"] == "CONFIRMED" for each in answers):
                left.discard(name)
        if time.monotonic() > end:
            break
        if left:
            await asyncio.sleep(every_s)
    return left
