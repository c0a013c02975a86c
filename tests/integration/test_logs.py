"""What the logs of a running stack say of a customer, also of calls that fail: nothing personal, and no basket."""

import asyncio
import json
import uuid

import pytest

from shop_client import rest
from stack import customer
from tests.support.waiting import eventually

REPAIRED_S = 60


@pytest.fixture
def since(stack):
    """Return what every process has logged since the test began, by its file."""
    folder = stack.settings.log
    began = {path: path.stat().st_size for path in folder.glob("*.log*")}

    def read():
        return {
            path.name: path.read_bytes()[began.get(path, 0) :].decode(errors="replace")
            for path in folder.glob("*.log*")
            if path.stat().st_size >= began.get(path, 0)
        }

    return read


async def test_no_log_has_a_token_an_address_or_a_basket(stack, since):
    private = uuid.uuid4().hex
    name, product = f"eva-{private}@example.com", f"products/private-{private}"
    token = customer.token(stack.settings, name)
    async with stack.client(name) as client:
        placed = await rest.place(client, rest.basket("products/enamel-mug"))
        assert placed.status_code == 201
        assert (await rest.place(client, rest.basket(product))).status_code == 400
        assert (await client.get("/v1/orders", params={"pageToken": name})).status_code == 400
        assert (await client.get("/v1/orders", headers=rest.signed(token[:-4] + "AAAA"))).status_code == 401
        try:
            await asyncio.to_thread(stack.make, "kill", SVC="inventory")
            pending = await rest.place(client, rest.basket("products/enamel-mug", 3))
            assert pending.status_code == 202
            order = pending.json()["name"]
            assert (await client.get("/v1/products", params={"pageToken": name})).status_code >= 500
            await asyncio.to_thread(stack.make, "kill", SVC="orders")
            assert (await rest.place(client, rest.basket(product))).status_code >= 500
        finally:
            for service in ("orders", "inventory"):
                await asyncio.to_thread(stack.make, "start", SVC=service)
        assert await rest.unconfirmed([client], [order], within_s=REPAIRED_S) == set()

    async def logged():
        logs = since()
        # It looks at logs that tell of these calls: of the order, and of calls that failed at the edge.
        return order in "".join(logs.values()) and '"status":' in logs["edge-0.log"]

    await eventually(logged, within_s=REPAIRED_S)
    lines = (await asyncio.to_thread(stack.make, "logs", ORDER=order, FOLLOW="no")).splitlines()
    records = [json.loads(line[line.index("{") :]) for line in lines if line.endswith("}")]
    assert "pending_order_ended" in {each.get("event") for each in records}
    times = [each["timestamp"] for each in records if "timestamp" in each]
    assert times == sorted(times)
    for file, text in since().items():
        for secret in (token, token.split(".")[1], token[:-4], name, private):
            found = [line for line in text.splitlines() if secret in line]
            assert found == [], (file, found[:2])
        assert "enamel-mug" not in text, file
