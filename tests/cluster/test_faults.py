"""Every fault in chaos/faults, applied with kubectl on real Istio, and lifted again."""

from __future__ import annotations

import httpx
import pytest

from k8s import edge as deployed
from k8s.kubectl import kubectl
from tests import faults
from tests.cluster.experiment import RECOVERY_LIMIT_S
from tests.cluster.load import Shop


@pytest.fixture(scope="module")
def client(shop):
    """Create a client for a customer."""
    tokens = {name: deployed.token(name) for name in ("somebody", faults.VICTIM)}

    def of(name: str) -> httpx.AsyncClient:
        return Shop(shop.edge, tokens[name]).client()

    return of


@pytest.mark.parametrize("name", faults.CHECKS)
async def test_a_fault_has_the_documented_effect_and_loses_nothing(client, name):
    kubectl("apply", "-f", str(faults.FOLDER / name))
    try:
        orders = await faults.CHECKS[name](client)
    finally:
        # The natural undo, after which every route is still there.
        kubectl("delete", "-f", str(faults.FOLDER / name))
    await faults.confirmed(client, orders, within_s=RECOVERY_LIMIT_S)
