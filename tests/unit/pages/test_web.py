"""What the pages' server answers."""

import asyncio

import httpx
import pytest
from shop.inventory.v1 import inventory_pb2

from gateway.pages import files
from gateway.pages.app import application
from gateway.pages.board import Board
from gateway.pages.faults import NoSuchFault
from gateway.pages.prometheus import Prometheus
from runtime.errors import Unavailable


class Mesh:
    """Inventory and the faults, as a test wants them."""

    def __init__(self):
        self.lifted = []
        self.away = False

    async def products(self):
        if self.away:
            raise Unavailable("inventory is away")
        stock = inventory_pb2.Stock(on_hand=10, available=7, held=1, sold=2)
        return [inventory_pb2.Product(name="products/mug", display_name="Mug", stock=stock)]

    async def active(self):
        return [{"name": "inventory"}]

    async def lift(self, name):
        if name != "inventory":
            raise NoSuchFault("no such fault")
        self.lifted.append(name)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def asked():
    return []


@pytest.fixture
def prometheus(asked):
    """A Prometheus that knows one number for everything, or nothing while it is away."""

    def answer(request):
        asked.append(request.url.path)
        values = {"metric": {}, "value": [0, "3"], "values": [[0, "1"]]}
        return httpx.Response(200, json={"data": {"result": [values]}})

    return Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=httpx.MockTransport(answer)))


@pytest.fixture
def mesh():
    return Mesh()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def board(prometheus, mesh, clock):
    return Board(prometheus, mesh, mesh, clock)


@pytest.fixture
def built(tmp_path):
    web = tmp_path / "web"
    (web / "assets").mkdir(parents=True)
    for name, text in {"index": "shop", "ops": "board", "docs": "api"}.items():
        (web / f"{name}.html").write_text(f"<!doctype html>{text}")
    (web / "assets" / "index-abc.js").write_text("1")
    (web / ".built-from").write_text("secret")
    (tmp_path / "openapi.json").write_text('{"openapi": "3.1.0"}')
    return web


@pytest.fixture
def client(built, board, mesh):
    def make(operators_only=True):
        web = application(files.load(built, built.parent / "openapi.json"), board, mesh, operators_only=operators_only)
        return httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://pages")

    return make


OPERATOR = {"x-operator": "true"}


@pytest.mark.parametrize(("path", "body"), [("/", "shop"), ("/ops", "board"), ("/ops/", "board"), ("/docs", "api")])
async def test_pages_come_with_a_policy_that_allows_nothing_from_elsewhere(client, path, body):
    answer = await client().get(path)
    assert (answer.status_code, answer.text) == (200, f"<!doctype html>{body}")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"


async def test_a_file_whose_name_is_its_contents_is_kept_for_ever(client):
    answer = await client().get("/assets/index-abc.js")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")


async def test_a_page_that_the_visitor_has_is_not_sent_again(client):
    first = await client().get("/")
    again = await client().get("/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/.built-from", "/assets/../.built-from", "/nothing", "/index.html"])
async def test_what_is_no_page_is_not_served(client, path):
    assert (await client().get(path)).status_code == 404


async def test_the_apis_description_is_served(client):
    answer = await client().get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"openapi": "3.1.0"}


def test_a_folder_without_pages_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(files.NoPages, match=r"gateway\.pages\.build"):
        files.load(tmp_path, tmp_path / "openapi.json")


async def test_the_board_is_for_operators(client):
    refused = await client().get("/ops/api/board")
    assert refused.status_code == 403
    assert refused.json()["details"][0]["reason"] == "OPERATOR_ONLY"
    assert (await client().get("/ops/api/board", headers=OPERATOR)).status_code == 200


async def test_a_fault_is_lifted_by_name(client, mesh):
    assert (await client().post("/ops/api/faults/inventory:lift", headers=OPERATOR)).status_code == 200
    assert mesh.lifted == ["inventory"]
    unknown = await client().post("/ops/api/faults/orders:lift", headers=OPERATOR)
    assert (unknown.status_code, unknown.json()["details"][0]["reason"]) == (404, "NO_SUCH_FAULT")


async def test_another_sites_page_lifts_nothing(client, mesh):
    headers = {**OPERATOR, "sec-fetch-site": "cross-site"}
    assert (await client().post("/ops/api/faults/inventory:lift", headers=headers)).status_code == 403
    assert mesh.lifted == []


async def test_however_many_look_the_board_is_gathered_once_a_second(board, clock, asked):
    await asyncio.gather(*(board.read() for _ in range(20)))
    once = len(asked)
    clock.now += 0.5
    await board.read()
    assert len(asked) == once
    clock.now += 0.6
    await board.read()
    assert len(asked) == 2 * once


async def test_a_part_that_cannot_be_had_is_unknown_and_the_others_are_there(board, mesh):
    mesh.away = True
    read = await board.read()
    assert read["stock"] is None
    assert read["problems"] == {"stock": "inventory is away"}
    assert read["numbers"]["outbox_waiting"] == 3


async def test_without_prometheus_its_parts_are_unknown_and_nothing_is_made_up(mesh, clock):
    transport = httpx.MockTransport(lambda _: httpx.Response(502))
    away = Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=transport))
    read = await Board(away, mesh, mesh, clock).read()
    assert read["alerts"] is read["calls"] is read["breakers"] is read["pods"] is read["numbers"] is None
    assert read["stock"][0]["off"] == 0
    assert "502" in read["problems"]["calls"]


async def test_alerts_that_fire_are_on_the_board(mesh, clock):
    firing = {"metric": {"alertname": "DeadLetters", "severity": "ticket", "service": "orders"}, "value": [0, "900"]}

    def answer(request):
        found = [firing] if "ALERTS" in request.url.params["query"] else []
        return httpx.Response(200, json={"data": {"result": found}})

    prometheus = Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=httpx.MockTransport(answer)))
    assert (await Board(prometheus, mesh, mesh, clock).read())["alerts"] == [
        {"name": "DeadLetters", "severity": "ticket", "since": 900.0, "labels": {"service": "orders"}}
    ]


async def test_a_number_that_prometheus_does_not_have_is_not_zero(mesh, clock):
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": {"result": []}}))
    empty = Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=transport))
    assert (await Board(empty, mesh, mesh, clock).read())["numbers"]["dead_letters"] is None
