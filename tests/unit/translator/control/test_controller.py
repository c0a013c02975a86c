"""
A service that joins the mesh gets an identity and its sidecar's files; they are removed when it leaves.
"""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from translator.control import controller as controller_module
from translator.control.controller import Controller
from translator.control.places import Places

SERVICES = """
namespaces: {shop: {}}
services: [{name: orders, namespace: shop, selector: {app: orders}, ports: [{name: grpc, port: 50051}]}]
"""
SIDECAR = """
workloads:
- name: subscriptions-0
  namespace: shop
  serviceAccount: subscriptions
  address: 127.0.0.1
  outbound: [{port: 50051, listen: "127.0.0.1:2"}]
  admin: 127.0.0.1:1
"""


def status(places: Places) -> dict[str, object]:
    return dict(json.loads((places.out / "status.json").read_text())["workloads"])


@pytest.fixture
def places(tmp_path: Path) -> Places:
    registry = tmp_path / "conf" / "registry.yaml"
    (registry.parent / "joined").mkdir(parents=True)
    registry.write_text(SERVICES)
    for folder in ("istio", "mesh/applied"):
        (tmp_path / folder).mkdir(parents=True)
    return Places((tmp_path / "istio",), registry, tmp_path / "certificates", tmp_path / "mesh")


def joined(places: Places) -> bool:
    return "subscriptions-0" in status(places)


async def test_a_file_changed_before_the_watch_begins_is_read(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_module, "RESYNC_MS", 50)
    controller = Controller(places, "envoy")
    await controller.update("start")
    (places.registry.parent / "joined" / "subscriptions.yaml").write_text(SIDECAR)
    updated, update = asyncio.Event(), controller.update

    async def update_and_tell(reason: str) -> None:
        await update(reason)
        updated.set()

    monkeypatch.setattr(controller, "update", update_and_tell)
    watching = asyncio.create_task(controller._watch())
    try:
        while not joined(places):
            await updated.wait()
            updated.clear()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def test_a_joined_service_gets_identity_and_bootstrap_and_a_left_one_is_removed(places: Places) -> None:
    controller = Controller(places, "envoy")
    await controller.update("start")
    assert "subscriptions-0" not in status(places)
    file = places.registry.parent / "joined" / "subscriptions.yaml"
    file.write_text(SIDECAR)
    await controller.update("joined")
    assert controller.status.error is None
    assert (places.certificates / "ns/shop/sa/subscriptions/current/chain.pem").exists()
    assert (places.out / "subscriptions-0/bootstrap.json").exists()
    assert "subscriptions-0" in status(places)
    file.unlink()
    await controller.update("left")
    assert "subscriptions-0" not in status(places)
    assert "subscriptions-0" not in controller.current.configurations
