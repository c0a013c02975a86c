"""
Every field has an effect, a watch responds at once and ends, and errors name their reason (see also
test_both_wires.py).
"""

import asyncio
import uuid

import grpc
import httpx
import pytest
from google.rpc import code_pb2
from shop.orders.v1 import order_service_pb2, order_service_pb2_grpc

from gateway.edge import contract
from runtime.status import from_rpc_error
from shop_client.rest import TAKEN, basket, keyed, place
from stack import customer
from tests.integration.conftest import CHECKOUT
from tests.support.waiting import eventually

UNKNOWN_ORDER = f"orders/{uuid.UUID(int=1)}"


def key(value=None):
    return keyed(value or "")


def reason(answer):
    return answer.json()["details"][0]["reason"]


@pytest.fixture
async def product(edge, stack):
    name = (await edge.get("/v1/products")).json()["products"][0]["name"]
    await stack.restock(name, 2000)
    return name


@pytest.fixture
async def operator(stack):
    async with stack.client("otto", operator=True) as client:
        yield client


async def ordered(client, product, quantity=1):
    answer = await place(client, basket(product, quantity))
    assert answer.status_code in TAKEN, answer.text
    return answer.json()


class TestEveryFieldCounts:
    """Each field of each request of the REST contract, with two calls that differ in it and in their effect."""

    async def two_pages(self, edge, product, path):
        for _ in range(2):
            await ordered(edge, product)
        first = (await edge.get(f"{path}?pageSize=1")).json()
        second = (await edge.get(f"{path}?pageSize=1&pageToken={first['nextPageToken']}")).json()
        return first, second

    async def name(self, edge, operator, product, verb):
        order = await ordered(edge, product)
        method, body = ("GET", None) if verb in ("", ":timeline") else ("POST", {})
        found = await operator.request(method, f"/v1/{order['name']}{verb}", json=body)
        missed = await operator.request(method, f"/v1/{UNKNOWN_ORDER}{verb}", json=body)
        return found.status_code, missed.status_code

    async def etag(self, edge, operator, product, verb):
        order = await ordered(edge, product)
        stale = await operator.post(f"/v1/{order['name']}{verb}", json={"etag": '"0"'})
        good = await operator.post(f"/v1/{order['name']}{verb}", json={"etag": order["etag"]})
        return (stale.status_code, reason(stale)), good.status_code

    async def request_id(self, edge, operator, product, verb):
        order, one = await ordered(edge, product), str(uuid.uuid4())
        path = f"/v1/{order['name']}{verb}"
        answers = [await operator.post(path, json={"requestId": each}) for each in (one, one, str(uuid.uuid4()))]
        return [each.status_code for each in answers]

    async def restocked(self, operator, product, quantity, one):
        answer = await operator.post(f"/v1/{product}:restock", json={"quantity": quantity, "requestId": one})
        return int(answer.json()["stock"]["onHand"])

    async def test_create_order(self, edge, product):
        """order, request_id"""
        one = key()
        first = await edge.post("/v1/orders", json=basket(product, 2), headers=one)
        other = await edge.post("/v1/orders", json=basket(product, 3), headers=key())
        again = await edge.post("/v1/orders", json=basket(product, 2), headers=one)
        assert (first.json()["lines"], other.json()["lines"]) != (other.json()["lines"], first.json()["lines"])
        assert again.json()["name"] == first.json()["name"] != other.json()["name"]

    async def test_get_order(self, edge, operator, product):
        """name"""
        assert await self.name(edge, operator, product, "") == (200, 404)

    async def test_get_order_timeline(self, edge, operator, product):
        """name"""
        assert await self.name(edge, operator, product, ":timeline") == (200, 404)

    async def test_list_orders(self, edge, product):
        """page_size, page_token, state"""
        first, second = await self.two_pages(edge, product, "/v1/orders")
        assert len(first["orders"]) == 1
        assert first["orders"][0]["name"] != second["orders"][0]["name"]
        order = await ordered(edge, product)
        await edge.post(f"/v1/{order['name']}:cancel", json={})
        listed = (await edge.get("/v1/orders?state=CANCELLED")).json()["orders"]
        assert [each["name"] for each in listed] == [order["name"]]

    @pytest.mark.parametrize("verb", [":cancel", ":fulfil"])
    async def test_cancel_order_and_fulfil_order(self, edge, operator, product, verb):
        """name, request_id, etag"""
        assert await self.name(edge, operator, product, verb) == (200, 404)
        assert await self.etag(edge, operator, product, verb) == ((409, "ORDER_CHANGED"), 200)
        assert await self.request_id(edge, operator, product, verb) == [200, 200, 400]

    async def test_batch_create_orders(self, edge, product):
        """requests"""
        for count in (1, 2):
            await asyncio.sleep(1.1)
            requests = [{"order": basket(product), "requestId": str(uuid.uuid4())} for _ in range(count)]
            answer = await edge.post("/v1/orders:batchCreate", json={"requests": requests})
            assert len(answer.json()["outcomes"]) == count, answer.text

    async def test_watch_order(self, edge, product):
        """name, from_version"""
        order = await ordered(edge, product)
        await edge.post(f"/v1/{order['name']}:cancel", json={})
        texts = [(await edge.get(f"/v1/{order['name']}:watch?fromVersion={version}")).text for version in (1, 2)]
        assert [text.count("event: order") for text in texts] == [2, 1]
        assert (await edge.get(f"/v1/{UNKNOWN_ORDER}:watch")).status_code == 404

    async def test_get_product(self, edge, product):
        """name"""
        answers = [await edge.get(f"/v1/{name}") for name in (product, "products/there-is-none")]
        assert [each.status_code for each in answers] == [200, 404]

    async def test_list_products(self, edge):
        """page_size, page_token"""
        first = (await edge.get("/v1/products?pageSize=1")).json()
        second = (await edge.get(f"/v1/products?pageSize=1&pageToken={first['nextPageToken']}")).json()
        assert first["products"][0]["name"] != second["products"][0]["name"]

    async def test_restock(self, operator, product):
        """name, quantity, request_id"""
        one = str(uuid.uuid4())
        before = await self.restocked(operator, product, 1, one)
        assert await self.restocked(operator, product, 1, one) == before
        assert await self.restocked(operator, product, 5, str(uuid.uuid4())) == before + 5
        missed = await operator.post("/v1/products/there-is-none:restock", json={"quantity": 1}, headers=key())
        assert missed.status_code == 404

    async def test_redrive_dead_letters(self, operator):
        """limit, topic"""
        wrong = [{"topic": "there-is-none"}, {"limit": -1}]
        answers = [await operator.post("/v1/deadLetters:redrive", json=body) for body in ({}, *wrong)]
        assert [each.status_code for each in answers] == [200, 400, 400]

    async def test_reconcile_orders(self, operator):
        """validate_only"""
        looked = await operator.post("/v1/orders:reconcile", json={"validateOnly": True}, timeout=60)
        assert looked.status_code == 200
        assert looked.json()["repaired"] == "0"

    async def customer_of_two_orders(self, edge, operator, product):
        """Return the name of a customer whose two orders are cancelled."""
        for _ in range(2):
            order = await ordered(edge, product)
            assert (await edge.post(f"/v1/{order['name']}:cancel", json={})).status_code == 200
        return order["customer"]

    async def test_export_customer(self, edge, operator, product):
        """name, page_size, page_token"""
        name = await self.customer_of_two_orders(edge, operator, product)
        body = {"name": name, "pageSize": 1}
        first = (await operator.post("/v1/customers:export", json=body)).json()
        second = (
            await operator.post("/v1/customers:export", json={**body, "pageToken": first["nextPageToken"]})
        ).json()
        (one,), (other,) = first["orders"], second["orders"]
        assert one["order"]["name"] != other["order"]["name"]
        assert {one["order"]["customer"], other["order"]["customer"]} == {name}
        nobody = await operator.post("/v1/customers:export", json={"name": f"customers/{uuid.uuid4()}"})
        assert (nobody.status_code, nobody.json().get("orders", [])) == (200, [])

    async def test_erase_customer(self, edge, operator, product):
        """name, validate_only, reference"""
        name = await self.customer_of_two_orders(edge, operator, product)
        counted = (await operator.post("/v1/customers:erase", json={"name": name, "validateOnly": True})).json()
        assert (counted["remainingOrders"], counted["done"]) == ("2", False)
        refused = await operator.post("/v1/customers:erase", json={"name": name, "reference": "two words"})
        assert refused.status_code == 400
        erased = (await operator.post("/v1/customers:erase", json={"name": name, "reference": "T-1"})).json()
        assert (erased["orders"], erased["done"]) == ("2", True)

    async def test_get_backlog(self, operator):
        """ """
        assert (await operator.get("/v1/backlog")).status_code == 200

    def test_every_method_and_every_field_has_a_test(self):
        """Above, a test's name is a method's and its docstring lists its fields."""
        read = contract.load(CHECKOUT / "build" / "descriptors.binpb")
        tested = {}
        for name, test in vars(type(self)).items():
            for method in name.removeprefix("test_").split("_and_") if name.startswith("test_") else ():
                tested[method] = set((test.__doc__ or "").replace(",", " ").split())
        for method in {binding.method for binding in read.bindings}:
            words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in method.name)[1:]
            assert tested.get(words) == {field.name for field in method.input_type.fields}, method.full_name


class TestOneKey:
    async def test_a_retried_restock_gets_the_same_response(self, operator, product):
        one = key()
        answers = [
            await operator.post(f"/v1/{product}:restock", json={"quantity": quantity}, headers=one)
            for quantity in (1, 2)
        ]
        assert (answers[1].status_code, reason(answers[1])) == (400, "IDEMPOTENCY_KEY_REUSED")
        assert answers[1].json()["code"] == code_pb2.INVALID_ARGUMENT


class TestWatch:
    @pytest.mark.parametrize("resume", [{"headers": {"last-event-id": "1"}}, {"params": {"fromVersion": "2"}}], ids=str)
    async def test_headers_of_a_resumed_watch_are_sent_at_once(self, edge, product, resume):
        order = await ordered(edge, product)
        async with asyncio.timeout(5), edge.stream("GET", f"/v1/{order['name']}:watch", **resume) as answer:
            assert answer.status_code == 200

    async def test_headers_are_sent_at_once_for_grpc(self, stack, edge, product):
        order = await ordered(edge, product)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}") as channel, asyncio.timeout(5):
            stub = order_service_pb2_grpc.OrderServiceStub(channel)
            request = order_service_pb2.WatchOrderRequest(name=order["name"], from_version=2)
            metadata = customer.metadata(stack.settings, "otto", operator=True)
            call = stub.WatchOrder(request, metadata=metadata)
            await call.initial_metadata()
            call.cancel()

    async def test_a_watch_from_a_future_version_ends_with_the_order(self, edge, product):
        order = await ordered(edge, product)

        async def watch():
            return (await edge.get(f"/v1/{order['name']}:watch?fromVersion=99", timeout=30)).text

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.5)
        await edge.post(f"/v1/{order['name']}:cancel", json={})
        text = await asyncio.wait_for(watching, 10)
        assert "event: order" not in text
        assert "event: end" in text


class TestWhoCalls:
    async def test_a_token_is_503_and_not_401_while_the_issuers_keys_are_unavailable(self, stack, edge):
        async def answered(status):
            try:
                answer = await edge.get("/v1/orders")
            except httpx.TransportError:
                return None
            return answer if answer.status_code == status else None

        await asyncio.to_thread(stack.make, "kill", SVC="issuer")
        try:
            await asyncio.to_thread(stack.make, "restart", SVC="edge")
            away = await eventually(lambda: answered(503), within_s=30)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await self.list_orders(stack)
        finally:
            await asyncio.to_thread(stack.make, "start", SVC="issuer")
        assert reason(away) == "TOKEN_KEYS_UNAVAILABLE"
        assert int(away.headers["retry-after"]) > 0
        assert "www-authenticate" not in away.headers
        error = from_rpc_error(raised.value)
        assert (raised.value.code(), error.reason) == (grpc.StatusCode.UNAVAILABLE, "TOKEN_KEYS_UNAVAILABLE")
        await eventually(lambda: answered(200), within_s=30)

    async def list_orders(self, stack):
        metadata = customer.metadata(stack.settings, "otto", operator=True)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.settings.port}") as channel:
            stub = order_service_pb2_grpc.OrderServiceStub(channel)
            await stub.ListOrders(order_service_pb2.ListOrdersRequest(), metadata=metadata)

    async def test_policy_and_limit_errors_have_cors_headers(self, stack, edge, product):
        origin = {"origin": "http://localhost:5173"}
        async with stack.client() as nobody:
            answers = [await nobody.get("/v1/orders", headers=origin)]
        answers.append(await edge.post(f"/v1/{product}:restock", json={"quantity": 1}, headers=key() | origin))
        batches = (edge.post("/v1/orders:batchCreate", json={"requests": []}, headers=origin) for _ in range(12))
        answers += [each for each in await asyncio.gather(*batches) if each.status_code == 429][:1]
        assert [each.status_code for each in answers] == [401, 403, 429]
        for each in answers:
            assert each.headers["access-control-allow-origin"] == origin["origin"], each.text
            assert "Origin" in each.headers["vary"]
