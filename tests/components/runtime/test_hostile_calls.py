"""Malformed calls, against a real server, byte by byte."""

import asyncio
import random
import time
from pathlib import Path

import grpc
import pytest
from google.protobuf import message_factory
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2
from shop.orders.v1 import order_pb2, order_service_pb2

from chaos.hostile import malformed
from chaos.hostile.target import CREATE
from chaos.hostile.wire import exchange
from inventory_svc.api import MAX_BATCH_LINES
from orders_svc.inventory_client import MAX_BATCH
from runtime import errors, messages, status
from runtime.settings import ServiceSettings
from runtime.validation import Turns, check
from tests.components.runtime import test_calls as calls

INVALID = f"grpc {grpc.StatusCode.INVALID_ARGUMENT.value[0]}"
# A status in a trailer is base64, a third longer.
MAX_STATUS_BYTES = 3072
MAX_BLOCKED_S = 0.2


async def answered(request, context):
    if isinstance(request, order_service_pb2.BatchCreateOrdersRequest):
        return order_service_pb2.BatchCreateOrdersResponse()
    return order_pb2.Order(name="done")


def most_held_mib(*, reset=False):
    """Return the peak of this process's memory, after a *reset* of it (proc(5), clear_refs)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(peak.split()[1]) // 1024


async def ask(port, call):
    return await exchange(("127.0.0.1", port), call, limit_s=2)


@pytest.mark.parametrize("form", ["no-message", "cut-frame", "unparsable"])
async def test_an_unparsable_message_is_invalid_argument(form):
    async with calls.serving(answered) as port:
        wrong = [malformed.FORMS[form](malformed.call(CREATE), random.Random(seed)) for seed in range(6)]
        assert {await ask(port, each) for each in wrong} == {INVALID}


async def test_invalid_utf8_is_invalid_argument_in_every_field():
    async with calls.serving(answered) as port:
        method = order_service_pb2.DESCRIPTOR.services_by_name["OrderService"].methods_by_name["CreateOrder"]
        bodies = list(malformed.bad_texts(method))
        assert len(bodies) > 5
        assert {await ask(port, malformed.call(CREATE, body)) for body in bodies} == {INVALID}


@pytest.mark.parametrize("service", malformed.SERVICES, ids=lambda each: each.name)
def test_invalid_utf8_is_found_in_every_field_of_every_method(service):
    for method in service.methods:
        request = message_factory.GetMessageClass(method.input_type)
        for body in malformed.bad_texts(method):
            with pytest.raises(errors.InvalidArgument) as refused:
                messages.parse(body, request.FromString)
            assert refused.value.reason == "UNREADABLE_MESSAGE", method.full_name


async def test_a_compressed_message_is_not_unpacked_beyond_the_limit():
    bomb = malformed.gzip_bomb(malformed.call(CREATE), random.Random(0))
    async with calls.serving(answered) as port:
        await ask(port, bomb)
        before = most_held_mib(reset=True)
        answers = {await ask(port, bomb) for _ in range(3)}
        grown = most_held_mib() - before
    assert answers == {f"grpc {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}"}
    assert grown < malformed.BOMB_MIB / 2


async def test_an_incomplete_message_is_refused_in_time_and_takes_no_slot():
    async with calls.serving(answered, default_deadline_s=0.3, max_in_flight=1) as port:
        unfinished = malformed.Call(malformed.call(CREATE).headers, b"\0\0", end=False)
        slow = asyncio.create_task(ask(port, unfinished))
        await asyncio.sleep(0.1)
        right = malformed.call(CREATE, calls.create().SerializeToString())
        assert await ask(port, right) == "grpc 0"
        assert await slow == INVALID


async def test_an_oversized_message_is_invalid_argument_and_batches_may_be_larger():
    async with calls.service(answered, max_message_bytes=2000, max_batch_message_bytes=9000) as stub:
        error, raw = await calls.refused(stub.CreateOrder(calls.create(request_id="x" * 3000)))
        batch = order_service_pb2.BatchCreateOrdersRequest(requests=[calls.create()] * 1001)
        large, _ = await calls.refused(stub.BatchCreateOrders(batch))
        medium = order_service_pb2.BatchCreateOrdersRequest(requests=[calls.create()] * 100)
        await stub.BatchCreateOrders(medium)
    assert (raw.code(), error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_TOO_LARGE")
    assert large.reason == "MESSAGE_TOO_LARGE"


async def test_one_caller_cannot_take_every_slot():
    release = asyncio.Event()

    async def behaviour(request, context):
        await release.wait()
        return order_pb2.Order()

    async with calls.service(behaviour, max_in_flight=4, max_in_flight_per_caller=2) as stub:

        def order(customer):
            return asyncio.ensure_future(stub.CreateOrder(calls.create(), metadata=(("x-customer-id", customer),)))

        heavy = [order("mallory") for _ in range(2)]
        await asyncio.sleep(0.1)
        error, raw = await calls.refused(order("mallory"))
        other = order("ana")
        await asyncio.sleep(0.1)
        release.set()
        await asyncio.gather(*heavy, other)
    assert (raw.code(), error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_OVER_ITS_SHARE")
    assert error.retry_after_s == 1


async def test_one_customer_has_one_batch_at_a_time_beside_other_calls():
    release = asyncio.Event()

    async def behaviour(request, context):
        if isinstance(request, order_service_pb2.BatchCreateOrdersRequest):
            await release.wait()
            return order_service_pb2.BatchCreateOrdersResponse()
        return order_pb2.Order()

    async with calls.service(behaviour, max_batches=2, max_batches_per_caller=1) as stub:

        def batch(customer):
            request = order_service_pb2.BatchCreateOrdersRequest(requests=[calls.create()])
            metadata = (("x-customer-id", customer),)
            return asyncio.ensure_future(stub.BatchCreateOrders(request, metadata=metadata))

        running = [batch("mallory")]
        await asyncio.sleep(0.1)
        second, _ = await calls.refused(batch("mallory"))
        running.append(batch("ana"))
        await asyncio.sleep(0.1)
        third, _ = await calls.refused(batch("bob"))
        await stub.CreateOrder(calls.create(), metadata=(("x-customer-id", "mallory"),))
        release.set()
        await asyncio.gather(*running)
    assert (second.reason, third.reason) == ("CALLER_OVER_ITS_SHARE", "OVERLOADED")
    assert (second.retry_after_s, third.retry_after_s) == (1, 1)


@pytest.mark.parametrize("line", [order_pb2.OrderLine(), order_pb2.OrderLine(product="products/tea", quantity=1)])
async def test_a_batch_yields_to_the_event_loop(line):
    part = order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=[line] * 100), request_id="r")
    turns, others = Turns(), 0

    async def checked():
        with pytest.raises(errors.InvalidArgument) as refused:
            await turns.check(part)
        assert len(refused.value.fields) == 1

    async def work():
        await asyncio.gather(*(checked() for _ in range(200)))

    # The first validation compiles the contract's rules.
    await checked()
    began, task = time.process_time(), asyncio.create_task(work())
    while not task.done():
        others += 1
        await asyncio.sleep(0)
    spent = time.process_time() - began
    assert others > spent / 0.05, f"{others} turns in {spent:.2f} s"


def test_the_largest_batch_of_orders_is_within_inventorys_limit():
    line = inventory_pb2.HoldLine(product=f"products/{'x' * 63}", quantity=1000)
    basket = inventory_service_pb2.HoldStockRequest(order=calls.NAME, lines=[line] * 100)
    batch = inventory_service_pb2.BatchHoldStockRequest(requests=[basket] * MAX_BATCH)
    assert batch.ByteSize() <= ServiceSettings(kafka_brokers="k:1").max_batch_message_bytes
    assert sum(len(each.lines) for each in batch.requests) <= MAX_BATCH_LINES


def test_too_many_items_are_refused_before_they_are_validated():
    lines = [order_pb2.OrderLine()] * 200_000
    request = order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=lines), request_id="r")
    began = time.process_time()
    with pytest.raises(errors.InvalidArgument) as refused:
        check(request)
    assert time.process_time() - began < MAX_BLOCKED_S
    assert [each.field for each in refused.value.fields] == ["order.lines"]


def test_violations_in_an_error_are_limited_with_a_count_of_the_rest():
    lines = [order_pb2.OrderLine()] * 100
    with pytest.raises(errors.InvalidArgument) as refused:
        check(order_service_pb2.CreateOrderRequest(order=order_pb2.Order(lines=lines), request_id="r"))
    encoded = status.to_status(refused.value, "test")
    back = status.from_status(encoded)
    assert encoded.ByteSize() < MAX_STATUS_BYTES
    assert 10 <= len(back.fields) <= 20
    assert int(back.metadata[status.OMITTED]) + len(back.fields) == len(refused.value.fields)


def test_a_status_fits_in_a_trailer():
    long = "\N{SNOWMAN}" * 5000
    error = errors.FailedPrecondition(
        long,
        metadata={f"{number}{long}": long for number in range(50)},
        fields=[errors.FieldViolation(long, long)] * 300,
        violations=[errors.Violation("T", f"products/{number}", long) for number in range(300)],
    )
    assert status.to_status(error, "test").ByteSize() < 2 * MAX_STATUS_BYTES
