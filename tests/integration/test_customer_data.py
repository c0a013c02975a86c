"""A customer's data is exported and erased through the edge, by REST and by gRPC, and everything still adds up."""

import asyncio
import json
import uuid

import grpc
import httpx
import jwt
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import code_pb2
from shop.orders.v1 import events_pb2, operations_service_pb2, operations_service_pb2_grpc

from runtime.caller import customer_name
from runtime.status import from_rpc_error
from shop_client import rest
from stack import customer
from tests.integration.test_both_wires import token
from tests.support.waiting import eventually

NOBODY = "customers/%20erased"


class Rest:
    """An operator or a customer by the JSON API; its results are a code, a reason and a body."""

    def __init__(self, stack, bearer):
        self._client = httpx.AsyncClient(base_url=stack.settings.edge_url, headers=rest.signed(bearer), timeout=40)

    async def call(self, verb, **fields):
        """Call ExportCustomer or EraseCustomer."""
        answer = await self._client.post(f"/v1/customers:{verb}", json=fields)
        body = answer.json()
        if answer.status_code == 200:
            return "OK", "", body
        return code_pb2.Code.Name(body["code"]), body["details"][0]["reason"], body

    async def close(self):
        await self._client.aclose()


class Native:
    """The same by gRPC."""

    def __init__(self, stack, bearer):
        self._metadata = (("authorization", f"Bearer {bearer}"),)
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}")
        self._stub = operations_service_pb2_grpc.OperationsServiceStub(self._channel)

    async def call(self, verb, **fields):
        """Call ExportCustomer or EraseCustomer."""
        method = f"{verb.capitalize()}Customer"
        request = ParseDict(fields, getattr(operations_service_pb2, f"{method}Request")())
        try:
            answer = await getattr(self._stub, method)(request, metadata=self._metadata, timeout=40)
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            return error.code().name, failure.reason, failure.metadata
        return "OK", "", MessageToDict(answer, always_print_fields_with_no_presence=True)

    async def close(self):
        await self._channel.close()


@pytest.fixture(params=[Rest, Native], ids=["REST", "gRPC"])
async def connect(request, stack):
    made = []

    def connected(name, *, operator):
        made.append(request.param(stack, customer.token(stack.settings, name, operator=operator)))
        return made[-1]

    yield connected
    for each in made:
        await each.close()


@pytest.fixture
async def operator(connect):
    return connect("otto", operator=True)


@pytest.fixture
async def product(stack, edge):
    name = (await edge.get("/v1/products")).json()["products"][0]["name"]
    await stack.restock(name, 100)
    return name


async def ordered(client, product, quantity=1, key=""):
    answer = await rest.place(client, rest.basket(product, quantity), key)
    assert answer.status_code in rest.TAKEN, answer.text
    return answer.json()


async def test_a_customer_is_exported_and_erased_and_everything_adds_up(stack, edge, product, operator, topic):
    events = topic("order_events")
    first, second = await ordered(edge, product, 2, key="one"), await ordered(edge, product)
    name = first["customer"]
    cancelled = await rest.cancel(edge, first["name"])
    code, reason, _ = await operator.call("erase", name=name)
    assert (code, reason) == ("FAILED_PRECONDITION", "OPEN_ORDERS")
    async with stack.client("otto", operator=True) as clerk:
        assert (await clerk.post(f"/v1/{second['name']}:fulfil", json={})).status_code == 200

    code, _, page = await operator.call("export", name=name)
    assert code == "OK"
    found = {each["order"]["name"]: each for each in page["orders"]}
    assert set(found) == {first["name"], second["name"]}
    assert found[first["name"]]["order"] == cancelled.json()
    assert [each["state"] for each in found[second["name"]]["versions"]][-2:] == ["CONFIRMED", "FULFILLED"]
    assert {each["order"] for each in page["requests"]} >= set(found)
    assert "one" in {each["requestId"] for each in page["requests"]}

    code, _, erased = await operator.call("erase", name=name, reference="T-1")
    assert (code, erased["orders"], erased["done"]) == ("OK", "2", True)
    code, _, again = await operator.call("erase", name=name)
    assert (code, again["orders"], again["done"]) == ("OK", "0", True)
    assert (await edge.get("/v1/orders")).json().get("orders", []) == []
    assert (await edge.get(f"/v1/{first['name']}")).status_code == 404
    async with stack.client("otto", operator=True) as clerk:
        kept = (await clerk.get(f"/v1/{second['name']}")).json()
        timeline = (await clerk.get(f"/v1/{second['name']}:timeline")).json()
        looked = (await clerk.post("/v1/orders:reconcile", json={"validateOnly": True}, timeout=60)).json()
    assert kept == {**found[second["name"]]["order"], "customer": NOBODY}
    assert name not in json.dumps(timeline)
    about = {first["name"], second["name"], *(f"holds/{each.partition('/')[2]}" for each in found)}
    assert [each for each in looked.get("discrepancies", []) if each["subject"] in about] == []

    def tells(value):
        event = events_pb2.OrderEvent.FromString(value or b"")
        return event.order.name == first["name"] and event.HasField("customer_erase_time")

    event = events_pb2.OrderEvent.FromString((await events.find(tells)).value)
    assert (event.order.customer, event.order.version) == (NOBODY, int(cancelled.json()["version"]))


async def test_the_name_is_in_no_log_of_the_services_and_the_edge(stack, product, operator):
    """Who did it, under which reference and how much is in the log; of whom is not."""
    name, reference = f"zz-{uuid.uuid4().hex}", f"T-{uuid.uuid4().hex}"
    async with stack.client(name) as client:
        order = await ordered(client, product)
        await rest.cancel(client, order["name"])
    assert (await operator.call("export", name=order["customer"]))[0] == "OK"
    assert (await operator.call("erase", name=order["customer"], reference=reference))[2]["done"]

    def logs():
        return {path: path.read_text(errors="replace") for path in (stack.settings.state / "log").glob("*.log")}

    async def audited():
        return [line for text in logs().values() for line in text.splitlines() if reference in line]

    (line,) = await eventually(audited, within_s=10)
    entry = json.loads(line)
    assert (entry["event"], entry["operator"], entry["orders"]) == ("customer_erased", "otto", 1)
    assert [path.name for path, text in logs().items() if name in text] == []


async def test_a_customer_may_not_not_even_about_themselves(connect, edge, product):
    order = await ordered(edge, product)
    someone = connect(order["customer"].partition("/")[2], operator=False)
    for verb in ("export", "erase"):
        code, reason, _ = await someone.call(verb, name=order["customer"])
        assert (code, reason) == ("PERMISSION_DENIED", "FORBIDDEN")
    assert (await edge.get(f"/v1/{order['name']}")).json()["customer"] == order["customer"]


SUBJECTS = ["50%41", "a/b", "a b", "x" * 200, "auth0|", "../customers:erase", '"}']


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_the_customer_whose_name_it_is_is_erased_and_no_other(stack, operator, product, subject):
    unique = uuid.uuid4().hex
    orders = {}
    for each in (unique + subject, unique + customer_name(subject).partition("/")[2], f"{unique}50A"):
        async with httpx.AsyncClient(base_url=stack.settings.edge_url, headers=rest.signed(token(stack, each))) as one:
            orders[each] = await ordered(one, product)
            await rest.cancel(one, orders[each]["name"])
    name = orders[unique + subject]["customer"]
    assert (await operator.call("erase", name=name))[2]["done"]
    async with stack.client("otto", operator=True) as clerk:
        for each, order in orders.items():
            now = (await clerk.get(f"/v1/{order['name']}")).json()["customer"]
            assert now == (NOBODY if customer_name(each) == name else customer_name(each))


WRONG = ["", "ann", "customers/", "customers/a b", "customers/%61", "customers/%20erased", "customers/" + "x" * 1000,
         "customers/\u0000", "customers/\u001b[2J", "customers/é", "customers/%FF", "orders/ann"]  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_a_name_that_is_none_is_refused(operator, name):
    for verb in ("export", "erase"):
        code, reason, _ = await operator.call(verb, name=name)
        assert (code, reason) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body", [b'{"name":"customers/\xff"}', b'{"name":"customers/\xc3\x28"}', b'{"name":"customers/a\x00"}']
)
async def test_a_name_that_is_no_text_is_refused(stack, body):
    async with stack.client("otto", operator=True) as operator:
        for verb in ("export", "erase"):
            answer = await operator.post(
                f"/v1/customers:{verb}", content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 400, answer.text


async def test_a_hundred_and_fifty_orders_are_exported_in_pages_and_erased_in_slices(stack, edge, product, operator):
    await stack.restock(product, 200)
    for _ in range(2):
        await asyncio.sleep(1.1)
        requests = [{"order": rest.basket(product), "requestId": str(uuid.uuid4())} for _ in range(75)]
        answer = await edge.post("/v1/orders:batchCreate", json={"requests": requests})
        assert all("order" in each for each in answer.json()["outcomes"]), answer.text
    names = [each["name"] for each in (await edge.get("/v1/orders?pageSize=500")).json()["orders"]]
    async with stack.client("otto", operator=True) as clerk:
        for name in names:
            assert (await clerk.post(f"/v1/{name}:cancel", json={})).status_code == 200
    found, requests, pages, after = [], [], 0, ""
    while pages == 0 or after:
        fields = {"name": f"customers/{_subject(edge)}", "pageToken": after}
        _, _, page = await operator.call("export", **fields)
        found += [each["order"]["name"] for each in page.get("orders", [])]
        requests += page.get("requests", [])
        after, pages = page.get("nextPageToken", ""), pages + 1
    assert (sorted(found), len(requests), pages) == (sorted(names), 150, 6)
    _, _, erased = await operator.call("erase", name=f"customers/{_subject(edge)}")
    assert (erased["orders"], erased["requests"], erased["done"]) == ("150", "150", True)


def _subject(client):
    """Return who *client* is signed in as."""
    bearer = client.headers["authorization"].removeprefix("Bearer ")
    return jwt.decode(bearer, options={"verify_signature": False})["sub"]
