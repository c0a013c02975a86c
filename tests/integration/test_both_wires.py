"""Errors and their reasons are the same over REST and gRPC, on the real edge with the real services."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import confluent_kafka
import grpc
import httpx
import jwt
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import code_pb2
from shop.orders.v1 import events_pb2, order_service_pb2, order_service_pb2_grpc

from gateway.issuer.settings import IssuerSettings
from gateway.issuer.signing import ALGORITHM, AUDIENCE, Signer, key_in
from inventory_svc import catalogue, ledger, wire
from inventory_svc.entries import MAX_PRICE
from inventory_svc.topics import LEDGER
from runtime.caller import customer_name
from runtime.money import Money
from runtime.status import from_rpc_error, from_status
from shop_client import rest
from tests.support.waiting import eventually

LONG = "f:" + "x" * 245 + "/+?#=% Z"
KNOWN_WITHIN_S = 10


class Rest:
    """A caller of the JSON API; its results are a code, a reason and a message."""

    def __init__(self, stack, token):
        self._client = httpx.AsyncClient(base_url=stack.settings.edge_url, headers=rest.signed(token), timeout=15)

    async def call(self, method, fields, headers=()):
        """Call a method of the orders' contract."""
        fields = dict(fields)
        name = fields.pop("name", "")
        verb, path, query = "POST", {"CreateOrder": "/v1/orders", "BatchCreateOrders": "/v1/orders:batchCreate"}, {}
        if method in ("GetOrder", "ListOrders"):
            verb, query = "GET", fields
        if method == "CreateOrder":
            query = {"requestId": fields["requestId"]} if "requestId" in fields else {}
            fields = fields["order"]
        move = {"CancelOrder": ":cancel", "FulfilOrder": ":fulfil"}.get(method, "")
        answer = await self._client.request(
            verb,
            path.get(method) or (f"/v1/{name}{move}" if name else "/v1/orders"),
            json=None if verb == "GET" else fields,
            params=query,
            headers=list(headers),
        )
        body = answer.json()
        if answer.status_code < 300:
            return "OK", "", body
        return code_pb2.Code.Name(body["code"]), rest_reason(body), body

    async def watch(self, name):
        """Return the last event of a watched order, and those before it."""
        async with self._client.stream("GET", f"/v1/{name}:watch") as answer:
            kinds = [line async for line in answer.aiter_lines() if line.startswith(("event: ", "data: "))]
        return [kind.removeprefix("event: ") for kind in kinds[::2]], kinds[-1]

    async def close(self):
        await self._client.aclose()


def rest_reason(body):
    return next(each["reason"] for each in body["details"] if "reason" in each)


class Native:
    """The same over gRPC."""

    def __init__(self, stack, token):
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}")
        self._stub = order_service_pb2_grpc.OrderServiceStub(self._channel)

    async def call(self, method, fields, headers=()):
        """Call a method of the orders' contract."""
        request = ParseDict(fields, getattr(order_service_pb2, f"{method}Request")())
        try:
            answer = await getattr(self._stub, method)(request, metadata=(*self._metadata, *headers), timeout=15)
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            return error.code().name, failure.reason, {"message": f"{failure.message} {failure.metadata}"}
        return "OK", "", MessageToDict(answer)

    async def watch(self, name):
        """Return the last event of a watched order, and those before it."""
        request = order_service_pb2.WatchOrderRequest(name=name)
        events = [event async for event in self._stub.WatchOrder(request, metadata=self._metadata, timeout=30)]
        status = events[-1].end.status
        return [event.WhichOneof("event") for event in events], from_status(status).reason if status.code else ""

    async def close(self):
        await self._channel.close()


def token(stack, subject, *, lasting=timedelta(hours=1), **claims):
    issuer = IssuerSettings(state=stack.settings.secrets / "issuer")
    signer = Signer(key_in(issuer.state), issuer.url)
    usual = {"iss": signer.issuer, "aud": AUDIENCE, "sub": subject, "exp": datetime.now(UTC) + lasting}
    return jwt.encode({**usual, **claims}, signer.key, algorithm=ALGORITHM, headers={"kid": signer.public["kid"]})


@pytest.fixture(params=[Rest, Native], ids=["REST", "gRPC"])
async def connect(request, stack):
    """Create callers, each with its own token."""
    made = []

    def connected(subject, **claims):
        made.append(request.param(stack, token(stack, subject, **claims)))
        return made[-1]

    yield connected
    for each in made:
        await each.close()


@pytest.fixture
async def caller(connect):
    return connect(f"wires-{uuid.uuid4()}", operator=True)


@pytest.fixture
async def product(edge):
    listed = (await edge.get("/v1/products")).json()
    return rest.in_stock(listed, at_least=20)[0]


@pytest.fixture
async def scarce(edge):
    """Return the product with the least stock, so that it is soon sold out."""
    listed = (await edge.get("/v1/products")).json()
    return rest.in_stock(listed, at_least=20)[-1]


def placing(*lines, key=None, **given):
    lines = [{"product": product, "quantity": quantity} for product, quantity in lines]
    return {"order": {"lines": lines}, **({"requestId": key or str(uuid.uuid4())} if key != "" else {}), **given}


async def ordered(caller, product, quantity=1):
    code, _, order = await caller.call("CreateOrder", placing((product, quantity)))
    assert code == "OK", order
    return order


async def state_of(caller, order):
    return (await caller.call("GetOrder", {"name": order["name"]}))[2]["state"]


@pytest.mark.parametrize("method", ["CancelOrder", "FulfilOrder"])
async def test_a_write_with_a_stale_etag_is_refused(caller, product, method):
    order = await ordered(caller, product)
    for fields, headers in (({"etag": '"0"'}, ()), ({}, (("if-match", '"0"'),))):
        result = await caller.call(method, {"name": order["name"], **fields}, headers)
        assert result[:2] == ("ABORTED", "ORDER_CHANGED"), result
    assert await state_of(caller, order) == "CONFIRMED"
    done = await caller.call(method, {"name": order["name"]}, (("if-match", order["etag"]),))
    assert done[0] == "OK", done


@pytest.mark.parametrize("method", ["CancelOrder", "FulfilOrder"])
async def test_the_etag_is_part_of_the_idempotent_request(caller, product, method):
    order, key = await ordered(caller, product), str(uuid.uuid4())
    fields = {"name": order["name"], "requestId": key}
    assert (await caller.call(method, fields | {"etag": order["etag"]}))[0] == "OK"
    assert (await caller.call(method, fields | {"etag": order["etag"]}))[0] == "OK"
    assert (await caller.call(method, fields))[:2] == ("INVALID_ARGUMENT", "IDEMPOTENCY_KEY_REUSED")


# The headers of a call beside its own key, and whether that is in the request message.
UNUSABLE = {
    "a space in the key": ([("idempotency-key", "a b")], False),
    "a key that is too long": ([("idempotency-key", "x" * 129)], False),
    "two keys": ([("idempotency-key", "a"), ("idempotency-key", "b")], False),
    "twice the same key": ([("idempotency-key", "a"), ("idempotency-key", "a")], False),
    "a key beside another": ([("idempotency-key", "a")], True),
    "a condition that there is not": ([("if-match", '"0"')], True),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_invalid_and_duplicated_headers_are_refused(connect, product, case):
    headers, keyed = UNUSABLE[case]
    caller = connect(f"wires-{uuid.uuid4()}")
    result = await caller.call("CreateOrder", placing((product, 1), key=None if keyed else ""), headers)
    assert result[0] == "INVALID_ARGUMENT", result
    assert (await caller.call("ListOrders", {}))[2].get("orders", []) == []


async def test_another_basket_with_a_used_key_always_gets_the_same_error(caller, product):
    """Both replicas, all concurrently; and a second later."""
    key = str(uuid.uuid4())
    calls = (caller.call("CreateOrder", placing((product, 1 + number % 3), key=key)) for number in range(30))
    results = await asyncio.gather(*calls)
    results.append(await caller.call("CreateOrder", placing((product, 9), key=key)))
    refused = [each for each in results if each[0] != "OK"]
    assert {each[:2] for each in refused} == {("INVALID_ARGUMENT", "IDEMPOTENCY_KEY_REUSED")}
    assert "hold" not in f"{refused}".lower()
    assert len({each[2]["name"] for each in results if each[0] == "OK"}) == 1


async def test_another_basket_with_a_key_of_the_same_batch_is_refused(caller, product):
    key = str(uuid.uuid4())
    requests = [placing((product, quantity), key=key) for quantity in (1, 2, 1, 3)]
    outcomes = (await caller.call("BatchCreateOrders", {"requests": requests}))[2]["outcomes"]
    assert len({each["order"]["name"] for each in outcomes if "order" in each}) == 1
    assert {reason_of(each) for each in outcomes if "error" in each} == {"IDEMPOTENCY_KEY_REUSED"}
    assert "holds/" not in f"{outcomes}"


def reason_of(outcome):
    return rest_reason(outcome["error"])


async def test_a_rejection_is_not_replayed_and_a_later_success_is(caller, stack, edge, scarce):
    available = int((await edge.get(f"/v1/{scarce}")).json()["stock"]["available"])
    rest_of, key = available % 1000, str(uuid.uuid4())
    taken = [await ordered(caller, scarce, 1000) for _ in range(available // 1000)]
    taken += [await ordered(caller, scarce, rest_of)] if rest_of else []
    wanted = placing((scarce, 2), key=key)
    try:
        assert (await caller.call("CreateOrder", wanted))[:2] == ("FAILED_PRECONDITION", "OUT_OF_STOCK")
        await stack.restock(scarce, 2)
        results = await asyncio.gather(*(caller.call("CreateOrder", wanted) for _ in range(5)))
        assert {code for code, *_ in results} == {"OK"}
        assert all(order == results[0][2] for *_, order in results)
    finally:
        await stack.restock(scarce, available)


@pytest.fixture
async def imported(stack, edge):
    """Price a product in another currency during a test."""
    usual = catalogue.LISTINGS[5]

    async def priced(price):
        listing = usual.__class__(usual.product, usual.display_name, usual.description, price, usual.low_stock)
        entry = wire.listing_entry(listing, int(datetime.now(UTC).timestamp() * 1000))
        producer = confluent_kafka.Producer({"bootstrap.servers": stack.brokers})
        producer.produce(LEDGER.name, key=ledger.key(entry), value=entry.SerializeToString())
        await asyncio.to_thread(producer.flush, KNOWN_WITHIN_S)

        async def listed():
            product_listed = (await edge.get(f"/v1/products/{usual.product}")).json()["unitPrice"]
            return product_listed["currencyCode"] == price.currency

        await eventually(listed, within_s=KNOWN_WITHIN_S)

    await priced(Money.of("USD", 7))
    yield f"products/{usual.product}"
    await priced(usual.unit_price)


async def stock_of(edge, *names):
    found = [(await edge.get(f"/v1/{name}")).json()["stock"] for name in names]
    return [(each["available"], each["held"]) for each in found]


async def test_an_order_of_two_currencies_is_refused_and_holds_nothing(caller, edge, product, imported):
    lines = ((product, 1), (imported, 1))
    before = await stock_of(edge, product, imported)
    one = placing(*lines)
    for _ in range(2):
        assert (await caller.call("CreateOrder", one))[:2] == ("FAILED_PRECONDITION", "MIXED_CURRENCIES")
    batch = {"requests": [placing(*lines), placing(*lines)]}
    outcomes = (await caller.call("BatchCreateOrders", batch))[2]["outcomes"]
    assert [reason_of(each) for each in outcomes] == ["MIXED_CURRENCIES"] * 2
    assert await stock_of(edge, product, imported) == before


def test_no_valid_basket_exceeds_the_range_of_money():
    """So such totals are tested on the store and the use case, which do not rely on it."""
    lines, quantity, amount = 100, 1000, 2**63
    assert (MAX_PRICE + 1) * lines * quantity < amount


async def test_a_watch_ends_when_the_callers_token_expires(connect, product):
    name = f"wires-{uuid.uuid4()}"
    order = await ordered(connect(name), product)
    async with asyncio.timeout(KNOWN_WITHIN_S):
        kinds, last = await connect(name, lasting=timedelta(seconds=2)).watch(order["name"])
    assert (kinds[0], kinds[-1]) == ("order", "end")
    assert "TOKEN_EXPIRED" in last


async def test_a_subject_of_255_characters_is_supported_everywhere(connect, topic, product):
    """Placed, read, listed, published to Kafka and cancelled; and not visible to others."""
    subject = LONG[:-1] + chr(ord("A") + uuid.uuid4().int % 26)
    assert len(subject) == 255
    caller, events = connect(subject), topic("order_events")
    order = await ordered(caller, product)
    assert order["customer"] == customer_name(subject)
    assert await state_of(caller, order) == "CONFIRMED"
    listed = (await caller.call("ListOrders", {}))[2]["orders"]
    assert {each["customer"] for each in listed} == {order["customer"]}
    assert (await connect(subject[:-2]).call("GetOrder", {"name": order["name"]}))[1] == "ORDER_NOT_FOUND"
    cancelled = await caller.call("CancelOrder", {"name": order["name"], "requestId": "x" * 128})
    assert cancelled[2]["state"] == "CANCELLED"

    def of_this(value):
        event = events_pb2.OrderEvent.FromString(value)
        return event.order.name == order["name"] and event.order.version == 2

    event = events_pb2.OrderEvent.FromString((await events.find(of_this)).value)
    assert event.order.customer == order["customer"]
