"""Customers who order all the while, and remember what they were told."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from chaos.drill.failures import DrillFailed
from shop_client import rest
from shop_client.plain import Plain

PAUSE_S = 0.1
RETRY_S = 0.2
CONFIRMED = 201


@dataclass(frozen=True)
class Taken:
    """An order that was acknowledged: its key, its name, when (s since 1970), and with which status."""

    key: str
    name: str
    at: float
    status: int


class Customers:
    """One order after the other, each repeated under its key until it is taken; used as a context manager."""

    def __init__(self, client: Plain, product: str, *, prefix: str) -> None:
        self._client = client
        self.basket = rest.basket(product)
        self._prefix = prefix
        self._taken: list[Taken] = []
        self._last_answer = "nothing was answered yet"
        self._answered = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._buy, name="customers", daemon=True)

    def __enter__(self) -> Customers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=self._client.timeout_s + 1)

    def taken(self) -> list[Taken]:
        """
        Return what was acknowledged up to now, in its order.
        """
        return list(self._taken)

    def wait_for(self, count: int, *, since: float, within_s: float, status: int | None = None) -> Taken:
        """
        Wait for *count* orders taken after *since*, with *status* if it matters; return the first of them.

        Raises `DrillFailed` if they do not come *within_s*.
        """

        def found() -> list[Taken]:
            return [each for each in self.taken() if each.at > since and status in (None, each.status)]

        with self._answered:
            if not self._answered.wait_for(lambda: len(found()) >= count, within_s):
                raise DrillFailed(
                    f"{len(found())} of {count} orders were taken within {within_s:.0f} s: {self._last_answer}"
                )
        return found()[0]

    def longest_silence_s(self, since: float) -> float:
        """
        Return the longest time without an acknowledged order after *since*.
        """
        times = [since, *(each.at for each in self.taken() if each.at > since)]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    def again(self, order: Taken) -> str:
        """
        Repeat the request of an order; return the name of what it is answered with.
        """
        answer = rest.place(self._client, self.basket, order.key)
        if answer.status_code not in rest.TAKEN:
            raise DrillFailed(f"the repeat of {order.name} is answered {answer}")
        return str(answer.json()["name"])

    def _buy(self) -> None:
        number = 0
        while not self._stop.is_set():
            key = f"{self._prefix}-{number}"
            number += 1
            self._until_taken(key, lambda key=key: rest.place(self._client, self.basket, key))  # type: ignore[misc]
            self._stop.wait(PAUSE_S)

    def _until_taken(self, key: str, place: Callable[[], rest.Answer]) -> None:
        while not self._stop.is_set():
            try:
                answer = place()
                if answer.status_code in rest.TAKEN:
                    taken = Taken(key, str(answer.json()["name"]), time.time(), answer.status_code)
                    with self._answered:
                        self._taken.append(taken)
                        self._answered.notify_all()
                    return
                self._last_answer = str(answer)
            except (OSError, ValueError, LookupError) as error:
                self._last_answer = f"{type(error).__name__}: {error}"
            self._stop.wait(RETRY_S)
