"""A client of the JSON API that needs nothing installed: for what runs before, or without, the environment."""

from __future__ import annotations

import json as encoding
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shop_client import repeats, rest

MAX_SHOWN = 2000


class NoOrder(Exception):
    """No order was taken in time; the message has the last answer."""


@dataclass(frozen=True)
class Answer:
    """A status and a body, whatever the status says."""

    status_code: int
    text: str

    def json(self) -> Any:
        """
        Return the body; `ValueError` if it is not JSON.
        """
        return encoding.loads(self.text or "{}")

    def __str__(self) -> str:
        return f"{self.status_code} {self.text[:MAX_SHOWN]}"


@dataclass(frozen=True)
class Plain:
    """
    Calls the shop at *url* as the bearer of *token*, or anonymously, with *headers*; `OSError` if no answer comes.
    """

    url: str
    token: str = ""
    timeout_s: float = 15
    headers: Mapping[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Answer:
        """
        GET *path*.
        """
        return self._call(path, None, {})

    def post(self, path: str, *, json: Any, headers: Mapping[str, str]) -> Answer:
        """
        POST *json* to *path*.
        """
        return self._call(path, encoding.dumps(json).encode(), {"content-type": "application/json", **headers})

    def _call(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        signed = rest.signed(self.token) if self.token else {}
        request = urllib.request.Request(self.url + path, body, {**self.headers, **headers, **signed})  # noqa: S310 - the caller's own
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:  # noqa: S310 - as above
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(errors="replace"))


def place_patiently(client: Plain, *, within_s: float, every_s: float, key: str = "") -> dict[str, Any]:
    """
    Place an order for one unit of what is in stock and return it; tried until it is taken.

    The same call is repeated while that may help, and a key that was refused is given up. Raises `NoOrder` if no
    order is taken *within_s*.
    """
    deadline, last_answer = time.monotonic() + within_s, ""
    intent = Intent(key)
    while time.monotonic() < deadline:
        try:
            # Chosen once: another basket under the same key is another intent, which is refused.
            intent.order = intent.order or _basket(client)
            answer = rest.place(client, intent.order, intent.key)
            if answer.status_code in rest.TAKEN:
                placed: dict[str, Any] = answer.json()
                return placed
            last_answer = str(answer)
            intent = intent.after(answer.status_code, repeats.reason_of(answer.json()))
        except (OSError, ValueError, LookupError) as error:
            last_answer = f"{type(error).__name__}: {error}"
            intent.lost()
        time.sleep(every_s)
    raise NoOrder(f"{client.url} takes no order: {last_answer}")


class Intent:
    """One order that is wanted, and the key that names it in every repeat."""

    def __init__(self, key: str = "") -> None:
        self.key = key or str(uuid.uuid4())
        self.order: rest.Basket = {}
        self._under_way_until = 0.0

    def lost(self) -> None:
        """
        Note that a call had no answer: it may become the order for a while yet.
        """
        self._under_way_until = time.monotonic() + repeats.UNDER_WAY_S

    def after(self, status: int, reason: str) -> Intent:
        """
        Return what is to be tried after a call that was answered so: the same once more, or something new.
        """
        if repeats.after_status(status, reason):
            self.lost()
        elif time.monotonic() > self._under_way_until:
            return Intent()
        return self


def _basket(client: Plain) -> rest.Basket:
    listed = client.get("/v1/products")
    products = rest.in_stock(listed.json())
    if not products:
        raise LookupError(f"no product is in stock: {listed}")
    return rest.basket(products[0])
