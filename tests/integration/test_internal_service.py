"""An additional service, as in docs/internal-services.md: it joins the mesh, places an order, and leaves."""

import re

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.waiting import eventually


async def test_the_example_joins_places_an_order_and_leaves_nothing(stack):
    output = stack.make("example")
    order = re.search(r"^(orders/\S+) (CONFIRMED|PENDING)$", output, re.MULTILINE)
    assert order, output
    assert "INVALID_ARGUMENT UNKNOWN_PRODUCT" in output
    async with stack.client("ana") as ana:
        assert (await ana.get(f"/v1/{order[1]}")).json()["customer"] == "customers/ana"
    assert list(stack.settings.joined.glob("*")) == []
    assert "subscriptions" not in stack.make("mesh-diff")

    async def gone():
        return "subscriptions" not in stack.make("breakers")

    await eventually(gone, within_s=30)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_at_the_edge_names_what_the_edge_serves(stack, version):
    with grpc.insecure_channel(f"127.0.0.1:{stack.settings.port}", [("grpc.enable_http_proxy", 0)]) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        question = reflection_pb2.ServerReflectionRequest(list_services="*")
        answer = next(iter(ask(iter([question]), timeout=10)))
    listed = {each.name for each in answer.list_services_response.service if each.name.startswith("shop.")}
    assert listed == {
        "shop.orders.v1.OrderService",
        "shop.orders.v1.OperationsService",
        "shop.inventory.v1.InventoryService",
    }
