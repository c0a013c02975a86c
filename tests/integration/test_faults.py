"""Every fault in chaos/faults, injected as an SRE does and lifted again."""

import asyncio

import pytest

from tests import faults
from tests.integration.conftest import RECOVERY_LIMIT_S


def test_every_fault_is_tried():
    assert set(faults.CHECKS) == {path.name for path in faults.FOLDER.glob("*.yaml")}


@pytest.mark.parametrize("name", faults.CHECKS)
async def test_customers_see_what_the_fault_is_said_to_do_and_lose_nothing(stack, name):
    file = faults.FOLDER / name
    await asyncio.to_thread(stack.make, "mesh-apply", FILE=file)
    try:
        orders = await faults.CHECKS[name](stack.client)
    finally:
        await asyncio.to_thread(stack.make, "mesh-delete", FILE=file)
    await faults.confirmed(stack.client, orders, within_s=RECOVERY_LIMIT_S)
