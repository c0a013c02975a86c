"""Which calls a client retries."""

from __future__ import annotations

import grpc
import pytest
from shop.orders.v1 import order_pb2

from runtime import errors, status
from shop_client import calls, repeats


class Failed(grpc.aio.AioRpcError):
    def __init__(self, code, *details):
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(*details))


def conflict(reason):
    details = status.to_status(errors.Aborted("no", reason=reason), "orders").SerializeToString()
    return Failed(grpc.StatusCode.ABORTED, (calls.DETAILS_KEY, details))


def scripted(*answers):
    left = list(answers)

    async def call():
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return call, left


async def test_a_call_with_an_unknown_outcome_is_retried(monkeypatch):
    monkeypatch.setattr(calls.tenacity, "wait_random_exponential", lambda **_: calls.tenacity.wait_none())
    passing = [Failed(grpc.StatusCode[code]) for code in repeats.CODES]
    call, left = scripted(*passing, conflict("REQUEST_IN_PROGRESS"), order_pb2.Order(name="orders/1"))
    assert (await calls.repeated(call, within_s=5)).name == "orders/1"
    assert left == []


@pytest.mark.parametrize(
    "refusal",
    [Failed(grpc.StatusCode.FAILED_PRECONDITION), Failed(grpc.StatusCode.ABORTED), conflict("ORDER_CHANGED")],
    ids=["refused", "a conflict without a reason", "an order that is another by now"],
)
async def test_permanent_errors_are_not_retried(refusal):
    call, left = scripted(refusal, order_pb2.Order())
    with pytest.raises(Failed):
        await calls.repeated(call, within_s=5)
    assert len(left) == 1


async def test_an_order_of_several_products_is_one_request_under_its_key():
    sent = []

    class Stub:
        async def CreateOrder(self, request, *, metadata, timeout):  # noqa: ASYNC109 - gRPC's own name
            sent.append((request, metadata, timeout))
            return order_pb2.Order(name="orders/1")

    shop = calls.Shop(grpc.aio.insecure_channel("127.0.0.1:1"), (("authorization", "Bearer t"),), timeout_s=3)
    shop._stub = Stub()
    await shop.place({"products/tea": 2, "products/mug": 1}, key="k")
    await shop.place({"products/tea": 1})
    (request, metadata, timeout), (other, *_) = sent
    assert {line.product: line.quantity for line in request.order.lines} == {"products/tea": 2, "products/mug": 1}
    assert (request.request_id, metadata, timeout) == ("k", (("authorization", "Bearer t"),), 3)
    assert other.request_id not in ("", "k")
