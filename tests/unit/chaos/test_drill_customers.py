"""The drill's customers repeat each order under its key until it is taken, and remember what they were told."""

import threading
import time

import pytest

from chaos.drill import customers as buying
from chaos.drill.customers import CONFIRMED, Customers
from chaos.drill.failures import DrillFailed
from shop_client.plain import Answer


class Shop:
    """Answers as it is told to, with a status or not at all; then always as *after*."""

    timeout_s = 1

    def __init__(self, *answers, after=201):
        self._answers = list(answers)
        self._after = after
        self.keys = []
        self.asked_again = threading.Event()
        self._lock = threading.Lock()

    def post(self, path, *, json, headers):
        with self._lock:
            if self.keys:
                self.asked_again.set()
            self.keys.append(headers["idempotency-key"])
            answer = self._answers.pop(0) if self._answers else self._after
        if answer is None:
            raise ConnectionRefusedError("nobody there")
        return Answer(answer, f'{{"name": "orders/{self.keys[-1]}"}}')


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(buying, "PAUSE_S", 0)
    monkeypatch.setattr(buying, "RETRY_S", 0)


def test_an_order_is_repeated_under_its_key_until_it_is_taken():
    shop = Shop(503, None, 202, 201)
    with Customers(shop, "products/mug", prefix="d") as customers:
        first = customers.wait_for(2, since=0, within_s=10)
    assert shop.keys[:4] == ["d-0", "d-0", "d-0", "d-1"]
    assert (first.key, first.status) == ("d-0", 202)
    assert customers.again(first) == "orders/d-0"


def test_the_last_response_is_reported_when_no_order_is_taken_in_time():
    shop = Shop(after=503)
    with Customers(shop, "products/mug", prefix="d") as customers:
        assert shop.asked_again.wait(10)
        with pytest.raises(DrillFailed, match="0 of 1 orders were taken within 0 s: 503"):
            customers.wait_for(1, since=0, within_s=0)


def test_only_confirmed_orders_count_where_they_are_required():
    with Customers(Shop(202, 202, 201), "products/mug", prefix="d") as customers:
        assert customers.wait_for(1, since=0, within_s=10, status=CONFIRMED).key == "d-2"
    assert customers.longest_silence_s(time.time() + 1) == 0.0
