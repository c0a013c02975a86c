"""The order from outside: what counts as a failure, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import uuid
from urllib.parse import parse_qs

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.prober import calls
from gateway.prober.calls import Calls
from gateway.prober.credentials import Credentials
from gateway.prober.probe import FAILED, OK, SOLD_OUT, UNSURE_S, Probe
from tests.support.clock import Clock

SHOP = "http://shop.example.com"
LIMIT_S = 5.0


def refusal(status: int, reason: str) -> Response:
    return JSONResponse({"details": [{"reason": reason}]}, status)


class Shop:
    """A shop and its issuer; *answers* holds, by step, what is answered instead, one call after the other."""

    def __init__(self) -> None:
        self.orders: dict[str, str] = {}
        self.lost: list[str] = []
        self.answers: dict[str, list[Response | float]] = {}
        self.called: list[str] = []
        self.token = "first"
        self.lifetime_s: object = 3600
        self.stock = {"products/few": 3, "products/many": 70}
        self.app = Starlette(
            routes=[
                Route("/token", self.sign_in, methods=["POST"]),
                Route("/v1/products", self.browse),
                Route("/v1/orders", self.list_orders, methods=["GET"]),
                Route("/v1/orders", self.place, methods=["POST"]),
                Route("/v1/orders/{rest}", self.cancel, methods=["POST"]),
            ]
        )

    def open_orders(self) -> list[str]:
        return [name for name, state in self.orders.items() if state in ("PENDING", "CONFIRMED")]

    async def instead(self, step: str, request: Request) -> Response | None:
        self.called.append(step)
        if step != "sign_in" and request.headers["authorization"] != f"Bearer {self.token}":
            return refusal(401, "INVALID_TOKEN")
        waiting = self.answers.get(step)
        found = waiting.pop(0) if waiting else None
        if isinstance(found, float):
            await asyncio.sleep(found)
            return refusal(503, "UNAVAILABLE")
        return found

    async def sign_in(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        assert form["grant_type"] == ["client_credentials"]
        grant = {"access_token": self.token, "expires_in": self.lifetime_s}
        return await self.instead("sign_in", request) or JSONResponse(grant)

    async def browse(self, request: Request) -> Response:
        products = [{"name": name, "stock": {"available": str(units)}} for name, units in self.stock.items()]
        return await self.instead("browse", request) or JSONResponse({"products": products})

    async def list_orders(self, request: Request) -> Response:
        state = request.query_params["state"]
        found = [{"name": name, "state": each} for name, each in self.orders.items() if each == state]
        return await self.instead("list", request) or JSONResponse({"orders": found})

    async def place(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.ordered = body["lines"][0]["product"]
        key = request.headers["idempotency-key"]
        name = f"orders/{uuid.uuid5(uuid.NAMESPACE_URL, key)}"
        instead = await self.instead("place", request)
        if instead is not None:
            return instead
        self.orders[name] = "CONFIRMED"
        return JSONResponse({"name": name, "state": "CONFIRMED"}, 201)

    async def cancel(self, request: Request) -> Response:
        name = request.url.path.removeprefix("/v1/").removesuffix(":cancel")
        instead = await self.instead("cancel", request)
        if instead is not None:
            return instead
        self.orders[name] = "CANCELLED"
        return JSONResponse({"name": name, "state": "CANCELLED"})


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(shop: Shop):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(shop.app), base_url=SHOP) as made:
        yield made


@pytest.fixture
def probe(client: httpx.AsyncClient, clock: Clock) -> Probe:
    credentials = Credentials(Calls(client, 0.2), "/token", {"client_id": "order-prober"}, clock=clock)
    return Probe(Calls(client, 0.2, credentials.token), SHOP, refused=credentials.forget, clock=clock, repeat_s=0.0)


def failures(step: str, reason: str) -> float:
    return REGISTRY.get_sample_value("probe_failures_total", {"step": step, "reason": reason}) or 0.0


def succeeded() -> float | None:
    return REGISTRY.get_sample_value("probe_success", {"shop": SHOP})


async def test_an_order_is_placed_and_cancelled_and_counted(probe: Probe, shop: Shop) -> None:
    def counted() -> list[float | None]:
        return [
            REGISTRY.get_sample_value("probe_orders_total", {"outcome": OK}),
            REGISTRY.get_sample_value("probe_orders_placed_total", {"state": "CONFIRMED"}),
        ]

    before = counted()
    assert await probe.round(limit_s=LIMIT_S) == OK
    assert shop.ordered == "products/many"
    assert (len(shop.orders), shop.open_orders()) == (1, [])
    assert counted() == [each + 1 for each in before if each is not None]
    assert succeeded() == 1


async def test_a_round_of_an_order_that_went_well_is_two_calls(probe: Probe, shop: Shop, clock: Clock) -> None:
    clock.now += UNSURE_S
    await probe.round(limit_s=LIMIT_S)
    assert shop.called == ["sign_in", "browse", "place", "cancel"]
    shop.called.clear()
    await probe.round(limit_s=LIMIT_S)
    assert shop.called == ["place", "cancel"]


@pytest.mark.parametrize(
    ("step", "answer", "counted"),
    [
        ("place", refusal(503, "UNAVAILABLE"), ("place", "503")),
        ("place", Response("<html>", 502), ("place", "502")),
        ("place", refusal(429, "RATE_LIMITED"), ("place", "429")),
        ("place", 1.0, ("place", "timeout")),
        ("place", Response("no JSON", 201), ("place", "unreadable")),
        ("place", JSONResponse({"name": "../admin"}, 201), ("cancel", "unreadable")),
        ("place", Response("x" * (calls.MAX_READ_BYTES + 1), 201), ("place", "too_large")),
        ("cancel", refusal(503, "UNAVAILABLE"), ("cancel", "503")),
        ("browse", refusal(503, "UNAVAILABLE"), ("browse", "503")),
        ("list", refusal(503, "UNAVAILABLE"), ("clean", "503")),
        ("sign_in", refusal(500, ""), ("sign_in", "500")),
        ("sign_in", JSONResponse({"access_token": "two\nlines", "expires_in": 1}), ("sign_in", "unreadable")),
    ],
)
async def test_what_a_customer_would_call_an_outage_is_a_failure(
    probe: Probe, shop: Shop, step: str, answer: Response | float, counted: tuple[str, str]
) -> None:
    shop.answers[step] = [answer]
    before = failures(*counted)
    assert await probe.round(limit_s=LIMIT_S) == FAILED
    assert failures(*counted) == before + 1
    assert succeeded() == 0
    assert await probe.round(limit_s=LIMIT_S) == OK
    assert (shop.open_orders(), succeeded()) == ([], 1)


async def test_a_round_ends_in_time(probe: Probe, shop: Shop) -> None:
    shop.answers["browse"] = [1.0]
    before = failures("browse", "timeout")
    assert await probe.round(limit_s=0.05) == FAILED
    assert failures("browse", "timeout") == before + 1


async def test_nothing_is_ordered_before_what_was_left_is_cancelled(probe: Probe, shop: Shop) -> None:
    shop.answers["cancel"] = [refusal(503, "UNAVAILABLE")] * 3
    assert [await probe.round(limit_s=LIMIT_S) for _ in range(3)] == [FAILED] * 3
    assert len(shop.open_orders()) == 1
    assert await probe.round(limit_s=LIMIT_S) == OK
    assert shop.open_orders() == []


async def test_an_order_that_appears_after_its_call_was_given_up_is_cancelled(
    probe: Probe, shop: Shop, clock: Clock
) -> None:
    await probe.round(limit_s=LIMIT_S)
    shop.answers["place"] = [1.0]
    assert await probe.round(limit_s=LIMIT_S) == FAILED
    clock.now += UNSURE_S - 1
    late = f"orders/{uuid.uuid4()}"
    shop.orders[late] = "PENDING"
    assert await probe.round(limit_s=LIMIT_S) == OK
    assert shop.orders[late] == "CANCELLED"


@pytest.mark.parametrize("state", ["PENDING", "CONFIRMED"])
async def test_what_a_killed_prober_left_is_cancelled(probe: Probe, shop: Shop, state: str) -> None:
    left = f"orders/{uuid.uuid4()}"
    shop.orders[left] = state
    assert await probe.round(limit_s=LIMIT_S) == OK
    assert shop.orders[left] == "CANCELLED"


async def test_sold_out_is_no_outage(probe: Probe, shop: Shop) -> None:
    shop.answers["place"] = [refusal(400, "OUT_OF_STOCK")]
    assert await probe.round(limit_s=LIMIT_S) == SOLD_OUT
    assert succeeded() == 1
    shop.stock = {"products/many": 0}
    assert await probe.round(limit_s=LIMIT_S) == SOLD_OUT
    shop.stock = {"products/few": 1}
    assert await probe.round(limit_s=LIMIT_S) == OK
    assert shop.ordered == "products/few"


async def test_orders_go_on_while_nothing_can_be_browsed(probe: Probe, shop: Shop) -> None:
    await probe.round(limit_s=LIMIT_S)
    shop.answers["browse"] = [refusal(503, "UNAVAILABLE")] * 9
    shop.answers["place"] = [refusal(503, "UNAVAILABLE")]
    assert [await probe.round(limit_s=LIMIT_S) for _ in range(3)] == [FAILED, OK, OK]


async def test_a_conflict_that_passes_is_no_failure(probe: Probe, shop: Shop) -> None:
    shop.answers["cancel"] = [refusal(409, "ORDER_BUSY"), refusal(409, "ORDER_BUSY")]
    assert await probe.round(limit_s=LIMIT_S) == OK
    assert shop.open_orders() == []


async def test_a_pending_order_that_was_rejected_meanwhile_needs_no_cancellation(probe: Probe, shop: Shop) -> None:
    shop.answers["cancel"] = [refusal(400, "ILLEGAL_TRANSITION")]
    assert await probe.round(limit_s=LIMIT_S) == OK


async def test_a_token_is_renewed_at_half_its_life_and_when_it_is_refused(
    probe: Probe, shop: Shop, clock: Clock
) -> None:
    shop.lifetime_s = 600
    await probe.round(limit_s=LIMIT_S)
    clock.now += 299
    await probe.round(limit_s=LIMIT_S)
    assert shop.called.count("sign_in") == 1
    clock.now += 1
    await probe.round(limit_s=LIMIT_S)
    assert shop.called.count("sign_in") == 2
    shop.token = "second"
    assert [await probe.round(limit_s=LIMIT_S) for _ in range(2)] == [FAILED, OK]


async def test_an_order_is_placed_every_interval(probe: Probe, shop: Shop) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await probe.keep(0.15)
    assert 2 <= shop.called.count("place") <= 7
