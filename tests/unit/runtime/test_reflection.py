"""Every service that reflection lists can be described."""

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

# Loaded descriptors are what the process can describe.
import orders_svc.__main__
from gateway.edge import contract
from orders_svc.settings import SERVICES
from runtime.server import Server
from runtime.settings import ServiceSettings
from stack.settings import CHECKOUT


@pytest.fixture
async def ask():
    """Query a server that lists *listed*."""
    settings = ServiceSettings(kafka_brokers="127.0.0.1:1", pod_name="orders-0")
    server = Server(
        settings, domain="orders.shop.example.com", services=SERVICES, servicers=[], listed=orders_svc.__main__.LISTED
    )
    port = server._server.add_insecure_port("127.0.0.1:0")
    await server._server.start()

    async def answer(**question):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=10)
            return await anext(aiter(call))

    yield answer
    await server._server.stop(None)


def served_by_the_edge():
    methods = contract.load(CHECKOUT / "build" / "descriptors.binpb").methods
    return {path.split("/")[1] for path in methods}


async def test_reflection_names_what_the_edge_serves_and_nothing_else(ask):
    listed = {each.name for each in (await ask(list_services="")).list_services_response.service}
    assert {name for name in listed if name.startswith("shop.")} == served_by_the_edge()
    assert served_by_the_edge() > {"shop.inventory.v1.InventoryService"}


async def test_every_listed_service_can_be_described(ask):
    for name in (await ask(list_services="")).list_services_response.service:
        answer = await ask(file_containing_symbol=name.name)
        assert answer.file_descriptor_response.file_descriptor_proto, name
