"""Orders over REST: httpx, synchronous and asynchronous, and the standard library."""

from __future__ import annotations

import io
import itertools
import json
import urllib.error
import urllib.request
from email.message import Message

import httpx
import pytest

from shop_client import plain, rest
from shop_client.plain import Answer, NoOrder, Plain, place_patiently

TEA = {"name": "products/tea", "stock": {"available": "3"}}
MUG = {"name": "products/mug", "stock": {"available": "9"}}
GONE = {"name": "products/pen", "stock": {"available": "0"}}


def echo(request: httpx.Request) -> httpx.Response:
    return httpx.Response(201, json={"key": request.headers["idempotency-key"], "order": json.loads(request.content)})


def test_a_retry_has_the_same_key_and_other_orders_have_their_own():
    with httpx.Client(base_url="http://shop", transport=httpx.MockTransport(echo)) as client:
        answers = [rest.place(client, rest.basket("products/tea", 2), key).json() for key in ("k", "k", "", "")]
    keys = [answer["key"] for answer in answers]
    assert keys[:2] == ["k", "k"]
    assert len(set(keys)) == 3
    assert answers[0]["order"] == {"lines": [{"product": "products/tea", "quantity": 2}]}


async def test_the_same_functions_work_with_an_async_client():
    async with httpx.AsyncClient(base_url="http://shop", transport=httpx.MockTransport(echo)) as client:
        assert (await rest.cancel(client, "orders/1", "c")).json() == {"key": "c", "order": {}}
        assert (await rest.restock(client, "products/tea", 5)).json()["order"] == {"quantity": 5}


def test_products_are_sorted_by_stock_without_sold_out_ones():
    listed = {"products": [TEA, GONE, MUG, {"name": "products/new"}]}
    assert rest.in_stock(listed) == ["products/mug", "products/tea"]
    assert rest.in_stock(listed, at_least=5) == ["products/mug"]


async def test_orders_are_polled_until_each_is_confirmed():
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        if request.headers["authorization"] == "Bearer other" or request.url.path.endswith("/never"):
            return httpx.Response(404, json={})
        return httpx.Response(200, json={"state": "PENDING" if paths.count(request.url.path) < 3 else "CONFIRMED"})

    transport = httpx.MockTransport(answer)
    async with (
        httpx.AsyncClient(base_url="http://shop", transport=transport, headers=rest.signed("other")) as other,
        httpx.AsyncClient(base_url="http://shop", transport=transport, headers=rest.signed("mine")) as mine,
    ):
        left = await rest.unconfirmed([other, mine], ["orders/soon", "orders/never"], within_s=5, every_s=0.5)
    assert left == {"orders/never"}


def test_an_error_response_is_returned(monkeypatch):
    sent: list[urllib.request.Request] = []

    def urlopen(request, *, timeout):
        sent.append(request)
        raise urllib.error.HTTPError(request.full_url, 409, "Conflict", Message(), io.BytesIO(b'{"code": 10}'))

    monkeypatch.setattr(plain.urllib.request, "urlopen", urlopen)
    answer = rest.place(Plain("http://shop", "t"), rest.basket("products/tea"), "k")
    assert (answer.status_code, answer.json()) == (409, {"code": 10})
    (request,) = sent
    assert request.full_url == "http://shop/v1/orders"
    headers = {name.lower(): value for name, value in request.header_items()}
    assert headers.items() >= {"authorization": "Bearer t", "idempotency-key": "k"}.items()


@pytest.fixture
def answers(monkeypatch):
    """Serve responses one after the other; return the posted requests."""
    waiting: list[Answer | Exception] = []
    posted: list[tuple[str, str, bytes]] = []
    # The product with the most stock is another one each time.
    listed = itertools.cycle([[MUG, TEA], [TEA]])

    def call(self, path, body, headers):
        if body is None:
            return Answer(200, json.dumps({"products": next(listed)}))
        posted.append((path, headers["idempotency-key"], body))
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(plain.Plain, "_call", call)
    return waiting, posted


def test_an_order_is_retried_with_one_key_until_it_is_created(answers):
    waiting, posted = answers
    waiting += [ConnectionRefusedError(), Answer(503, "{}"), Answer(202, '{"name": "orders/1", "state": "PENDING"}')]
    assert place_patiently(Plain("http://shop"), within_s=5, every_s=0)["name"] == "orders/1"
    assert len(posted) == 3
    assert len(set(posted)) == 1


def refused(status: int, reason: str) -> Answer:
    return Answer(status, json.dumps({"details": [{"reason": reason}]}))


def test_a_new_key_is_used_after_a_definite_rejection(answers):
    waiting, posted = answers
    waiting += [refused(400, "OUT_OF_STOCK"), refused(409, "REQUEST_IN_PROGRESS"), Answer(201, '{"name": "orders/2"}')]
    assert place_patiently(Plain("http://shop"), within_s=5, every_s=0, key="k")["name"] == "orders/2"
    keys = [key for _, key, _ in posted]
    assert keys[0] == "k"
    assert keys[1] == keys[2] != "k"


def test_a_key_with_an_unknown_outcome_is_kept_despite_a_rejection(answers):
    waiting, posted = answers
    waiting += [TimeoutError(), refused(400, "OUT_OF_STOCK"), Answer(201, '{"name": "orders/1"}')]
    assert place_patiently(Plain("http://shop"), within_s=5, every_s=0)["name"] == "orders/1"
    assert len(set(posted)) == 1


def test_retries_end_with_the_last_response(answers):
    waiting, _ = answers
    waiting.append(Answer(503, '{"message": "no host"}'))
    with pytest.raises(NoOrder, match=r"http://shop takes no order: 503 .*no host"):
        place_patiently(Plain("http://shop"), within_s=0.01, every_s=0)
