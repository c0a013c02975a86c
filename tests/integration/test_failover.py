"""PostgreSQL's leader dies while people order: the synchronous replica takes over, and nothing acknowledged is lost."""

import asyncio
import time
import uuid

import pytest

from chaos import breakage
from stack.describe import describe
from tests.integration.conftest import RECOVERY_LIMIT_S, eventually

BUYERS = 4
PAUSE_S = 0.1
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def patroni(stack):
    return [str(address) for address in describe(stack.settings).patroni]


class Load:
    """Customers who order one thing after another, and what they were answered: `(began, ended, status, name)`."""

    def __init__(self, edge, product):
        self.edge, self.basket = edge, {"lines": [{"product": product, "quantity": 1}]}
        self.answers = []
        self.retry_after_missing = 0

    async def order(self):
        while True:
            began = time.monotonic()
            answer = await self.edge.post(
                "/v1/orders", json=self.basket, headers={"idempotency-key": str(uuid.uuid4())}
            )
            taken = answer.status_code in (201, 202)
            if answer.status_code == 503 and "retry-after" not in answer.headers:
                self.retry_after_missing += 1
            name = answer.json()["name"] if taken else None
            self.answers.append((began, time.monotonic(), answer.status_code, name))
            await asyncio.sleep(PAUSE_S)

    def taken_since(self, moment):
        return [name for began, _, _, name in self.answers if name and began > moment]


async def test_no_acknowledged_order_is_lost_when_postgresqls_leader_is_killed(stack, edge, patroni):
    products = (await edge.get("/v1/products")).json()["products"]
    most = max(products, key=lambda each: int(each["stock"]["available"]))
    load = Load(edge, most["name"])
    leader = await breakage.leader(patroni)
    buyers = [asyncio.create_task(load.order()) for _ in range(BUYERS)]
    try:
        await asyncio.sleep(2)
        await asyncio.to_thread(stack.make, "kill", SVC=leader)
        killed = time.monotonic()

        async def orders_flow():
            return load.taken_since(killed)[5 * BUYERS :]

        await eventually(orders_flow, within_s=RECOVERY_LIMIT_S)
        assert await breakage.leader(patroni) != leader
    finally:
        for buyer in buyers:
            buyer.cancel()
        await asyncio.to_thread(stack.make, "start", SVC=leader)
    ended = await asyncio.gather(*buyers, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    taken = [name for *_, name in load.answers if name]
    stored = [(await edge.get(f"/v1/{name}")).status_code for name in taken]
    assert stored == [200] * len(taken)
    assert {status for _, _, status, _ in load.answers} <= {201, 202, 503}
    assert load.retry_after_missing == 0
    await eventually(lambda: both_copies(patroni), within_s=RECOVERY_LIMIT_S)


async def both_copies(patroni):
    """Whether the member that was away follows again, synchronously."""
    return sorted((await breakage.roles(patroni)).values()) == ["leader", "sync_standby"]
