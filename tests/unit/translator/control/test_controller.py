"""
A service that joins the mesh gets an identity and its sidecar's files; they are removed when it leaves.
"""

import json
from pathlib import Path

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


async def test_a_joined_service_gets_identity_and_bootstrap_and_a_left_one_is_removed(tmp_path: Path) -> None:
    registry = tmp_path / "conf" / "registry.yaml"
    (registry.parent / "joined").mkdir(parents=True)
    registry.write_text(SERVICES)
    istio = tmp_path / "istio"
    istio.mkdir()
    places = Places((istio,), registry, tmp_path / "certificates", tmp_path / "mesh")
    controller = Controller(places, "envoy")
    await controller.update("start")
    assert "subscriptions-0" not in status(places)
    joined = registry.parent / "joined" / "subscriptions.yaml"
    joined.write_text(SIDECAR)
    await controller.update("joined")
    assert controller.status.error is None
    assert (places.certificates / "ns/shop/sa/subscriptions/current/chain.pem").exists()
    assert (places.out / "subscriptions-0/bootstrap.json").exists()
    assert "subscriptions-0" in status(places)
    joined.unlink()
    await controller.update("left")
    assert "subscriptions-0" not in status(places)
    assert "subscriptions-0" not in controller.current.configurations
