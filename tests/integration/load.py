"""Customers who keep ordering, and what they were answered."""

import asyncio
import time
from contextlib import asynccontextmanager

from shop_client import rest

PAUSE_S = 0.1
# What the contract answers while the system recovers, always with the time after which the same call is repeated:
# no replica could, or none had within the edge's own time limit.
NOT_NOW = {503, 504}


class Load:
    """Customers who order one thing after another; answers are `(began, ended, status, name)`."""

    def __init__(self, edge, product):
        self.edge, self.basket = edge, rest.basket(product)
        self.answers = []
        # What the others said and when, for the message of a test that fails.
        self.refusals = []
        self.retry_after_missing = 0

    @asynccontextmanager
    async def of(self, buyers):
        """Have so many order at a time while the block runs; an error of theirs is one of the test."""
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
        """The orders that were acknowledged."""
        return [name for *_, name in self.answers if name]

    def taken_since(self, moment):
        return [name for began, _, _, name in self.answers if name and began > moment]
