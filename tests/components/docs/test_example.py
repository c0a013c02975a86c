"""The example of docs/internal-services.md is the program in the repository, and behaves as the page says."""

import importlib.util
import re
from concurrent import futures

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from shop.orders.v1 import order_pb2, order_service_pb2_grpc

from stack.settings import CHECKOUT

EXAMPLE = CHECKOUT / "examples" / "subscriptions" / "place_order.py"


def loaded():
    spec = importlib.util.spec_from_file_location("place_order", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Orders(order_service_pb2_grpc.OrderServiceServicer):
    """Returns the given responses and records the requests."""

    def __init__(self, *answers):
        self.answers, self.requests, self.customers = list(answers), [], []

    def CreateOrder(self, request, context):
        self.requests.append(request)
        self.customers.append(dict(context.invocation_metadata())["x-customer-id"])
        answer = self.answers.pop(0)
        if isinstance(answer, order_pb2.Order):
            return answer
        context.abort_with_status(rpc_status.to_status(answer))
        return None


def refusal(code, reason, wait_ms=0):
    details = [error_details_pb2.ErrorInfo(reason=reason, domain="orders.shop.example.com")]
    if wait_ms:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(wait_ms)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message="not now", details=packed)


@pytest.fixture
def serve():
    """Serve responses on a free port; yield the stub and the servicer."""
    opened = []

    def start(*answers):
        servicer = Orders(*answers)
        server = grpc.server(futures.ThreadPoolExecutor(1))
        order_service_pb2_grpc.add_OrderServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)])
        opened.extend((channel.close, lambda: server.stop(None)))
        return order_service_pb2_grpc.OrderServiceStub(channel), servicer

    yield start
    for close in opened:
        close()


def test_the_page_contains_the_program():
    page = (CHECKOUT / "docs" / "internal-services.md").read_text()
    assert re.findall(r"```python\n(.*?)```", page, re.DOTALL) == [EXAMPLE.read_text()]


def test_retryable_errors_are_retried_after_the_given_delay(serve, monkeypatch):
    example, waited = loaded(), []
    monkeypatch.setattr(example.time, "sleep", waited.append)
    stub, orders = serve(
        refusal(code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED", wait_ms=250),
        refusal(code_pb2.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        order_pb2.Order(name="orders/1", state=order_pb2.Order.State.CONFIRMED),
    )
    assert example.place(stub, "ana", "products/enamel-mug", 2, "a-key").name == "orders/1"
    assert waited == [0.25, 1.0]
    assert [each.request_id for each in orders.requests] == ["a-key"] * 3
    assert orders.customers == ["ana"] * 3


@pytest.mark.parametrize(
    ("code", "reason", "attempts"),
    [(code_pb2.FAILED_PRECONDITION, "OUT_OF_STOCK", 1), (code_pb2.UNAVAILABLE, "DATABASE_UNAVAILABLE", 3)],
)
def test_permanent_errors_are_not_retried_and_retries_are_bounded(serve, monkeypatch, code, reason, attempts):
    example = loaded()
    monkeypatch.setattr(example.time, "sleep", lambda _: None)
    stub, orders = serve(*[refusal(code, reason)] * 3)
    with pytest.raises(grpc.RpcError) as caught:
        example.place(stub, "ana", "products/enamel-mug", 2, "a-key")
    assert example.reason(caught.value) == reason
    assert len(orders.requests) == attempts
