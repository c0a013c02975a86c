"""Customers who place orders continuously, and the responses they got."""

import asyncio
import time
from contextlib import asynccontextmanager

from shop_client import rest

PAUSE_S = 0.1
# The errors of the contract during a recovery, always with a retry delay: no replica was available, or none responded
# within the edge's time limit.
NOT_NOW = {503, 504}


class Load:
    """Customers who place one order after another; responses are `(began, ended, status, name)`."""

    def __init__(self, edge, product):
        self.edge, self.basket = edge, rest.basket(product)
        self.answers = []
        # The bodies of the other responses and their times, for the message of a failing test.
        self.refusals = []
        self.retry_after_missing = 0

    @asynccontextmanager
    async def of(self, buyers):
        """Let that many customers order while the block runs; their exceptions fail the test."""
        tasks = [asyncio.create_task(self._order()) for _ in range(buyers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    async def _order(self):
        while True:
            began = time.monotonic()
            answer = await rest.place(self.edge, self.basket)
            taken = answer.status_code in rest.TAKEN
            if answer.status_code in NOT_NOW and "retry-after" not in answer.headers:
                self.retry_after_missing += 1
            name = answer.json()["name"] if taken else None
            if not taken:
                self.refusals.append((time.time(), answer.status_code, answer.text, dict(answer.headers)))
            self.answers.append((began, time.monotonic(), answer.status_code, name))
            await asyncio.sleep(PAUSE_S)

    @property
    def taken(self):
        """Return the acknowledged orders."""
        return [name for *_, name in self.answers if name]

    def taken_since(self, moment):
        return [name for began, _, _, name in self.answers if name and began > moment]
