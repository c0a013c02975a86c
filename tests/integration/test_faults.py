"""Every fault in chaos/faults, injected as an SRE does and lifted again."""

import asyncio

import pytest

from tests import faults
from tests.integration.conftest import RECOVERY_LIMIT_S


def test_every_fault_file_is_tested():
    assert set(faults.CHECKS) == {path.name for path in faults.FOLDER.glob("*.yaml")}


@pytest.mark.parametrize("name", faults.CHECKS)
async def test_a_fault_has_the_documented_effect_and_loses_nothing(stack, name):
    file = faults.FOLDER / name
    await asyncio.to_thread(stack.make, "mesh-apply", FILE=file)
    try:
        orders = await faults.CHECKS[name](stack.client)
    finally:
        await asyncio.to_thread(stack.make, "mesh-delete", FILE=file)
    await faults.confirmed(stack.client, orders, within_s=RECOVERY_LIMIT_S)
