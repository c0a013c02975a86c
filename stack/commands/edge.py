"""
The edge as a web client sees it: buys one thing, and calls it off.
"""

import json
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

from stack import customer
from stack.errors import StackError
from stack.progress import Progress
from stack.settings import Settings

SECONDS = 120
POLL_SECONDS = 0.5
# Whom the commands buy for.
BUYER = "demo"
CALL_SECONDS = 5


class NoOrder(StackError):
    """No order went through in time; the message has the last answer."""


def wait_for_order(settings: Settings, progress: Progress) -> None:
    """
    Wait until an order goes through the edge, then call it off.

    Raises `NoOrder` after 120 s.
    """
    key = f"up-{uuid.uuid4()}"
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            order = _buy(settings, key)
            _call(settings, f"/v1/{order['name']}:cancel", {}, f"{key}-cancel")
            progress.say(f"edge: {order['name']} went through ({order['state']}) and was cancelled")
            return
        except (OSError, ValueError, LookupError) as error:
            if time.monotonic() > deadline:
                raise NoOrder(f"no order goes through {settings.edge_url}: {describe(error)}") from error
            time.sleep(POLL_SECONDS)


def products(settings: Settings) -> list[dict[str, Any]]:
    """What is for sale and in stock."""
    listed = _call(settings, "/v1/products")["products"]
    return [product for product in listed if int(product.get("stock", {}).get("available", 0)) > 0]


def describe(error: BaseException) -> str:
    """An error with what the server said, if it said something."""
    if isinstance(error, urllib.error.HTTPError):
        return f"{error} {error.read(2000).decode(errors='replace')}"
    return f"{type(error).__name__}: {error}"


def _buy(settings: Settings, key: str) -> dict[str, Any]:
    """Order one piece; an accepted order has gone through."""
    stocked = products(settings)
    if not stocked:
        raise LookupError("no product is in stock")
    order = {"lines": [{"product": stocked[0]["name"], "quantity": 1}]}
    placed = _call(settings, "/v1/orders", order, key)
    if placed["state"] not in ("PENDING", "CONFIRMED"):
        raise LookupError(f"the order is {placed['state']}")
    return placed


def _call(settings: Settings, path: str, body: dict[str, Any] | None = None, key: str = "") -> dict[str, Any]:
    """GET, or POST when there is a body."""
    request = urllib.request.Request(  # noqa: S310 - http on loopback
        settings.edge_url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "authorization": f"Bearer {customer.token(settings, BUYER)}",
            "content-type": "application/json",
            **({"idempotency-key": key} if key else {}),
        },
    )
    with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310
        decoded: dict[str, Any] = json.load(answer)
        return decoded
