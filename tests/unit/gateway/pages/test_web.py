"""The responses of the pages' server."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from shop.inventory.v1 import inventory_pb2

from gateway.pages import board as boards
from gateway.pages import catalogue as catalogues
from gateway.pages import files, queries, runbooks
from gateway.pages.app import Help, application
from gateway.pages.board import Board
from gateway.pages.catalogue import Catalogue
from gateway.pages.faults import NoSuchFault
from gateway.pages.history import History
from gateway.pages.prometheus import MARK, Prometheus
from gateway.pages.sign_in import Issuer
from gateway.pages.stores import Stores
from runtime.errors import Unavailable
from tests.support.clock import Clock

CHECKOUT = Path(__file__).resolve().parents[4]


class Mesh:
    """Inventory and the faults, as set by the test."""

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


@pytest.fixture
def paths_queried():
    return []


@pytest.fixture
def prometheus(paths_queried):
    """Serve a Prometheus with one value for every query, or none while it is down."""

    def answer(request):
        paths_queried.append(request.url.path)
        marks = re.findall(rf'"{MARK}", "(\w+)"', request.url.params["query"])
        metrics = [{MARK: mark} for mark in marks] or [{}]
        found = [{"metric": metric, "value": [0, "3"], "values": [[0, "1"]]} for metric in metrics]
        return httpx.Response(200, json={"data": {"result": found}})

    return Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=httpx.MockTransport(answer)))


@pytest.fixture
def mesh():
    return Mesh()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def board(prometheus, mesh, clock):
    return Board(prometheus, mesh, mesh, Stores(prometheus, {}), clock)


@pytest.fixture
def built(tmp_path):
    web = tmp_path / "web"
    (web / "assets").mkdir(parents=True)
    texts = {"index": "shop", "ops": "board", "docs": "api", "signed-in": "back", "not-found": "nothing here"}
    for name, text in texts.items():
        (web / f"{name}.html").write_text(f"<!doctype html>{text}")
    (web / "assets" / "index-abc.js").write_text("1")
    (web / ".built-from").write_text("secret")
    (tmp_path / "openapi.json").write_text('{"openapi": "3.1.0"}')
    return web


@pytest.fixture
def catalogue(mesh, clock):
    return Catalogue(mesh, clock)


@pytest.fixture
def client(built, board, prometheus, clock, mesh, catalogue):
    def make(operators_only=True, issuer=None):
        pages = files.load(built, built.parent / "openapi.json", issuer.origins if issuer else ())
        texts = Help(runbooks.load(CHECKOUT / "docs" / "runbooks.md"), figures=queries.FIGURES)
        history = History(prometheus, clock)
        web = application(
            pages, board, history, mesh, catalogue, operators_only=operators_only, issuer=issuer, help_texts=texts
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://pages")

    return make


OPERATOR = {"x-operator": "true"}


@pytest.mark.parametrize(("path", "body"), [("/", "shop"), ("/ops", "board"), ("/ops/", "board"), ("/docs", "api")])
async def test_pages_have_a_content_security_policy_for_their_own_origin_only(client, path, body):
    answer = await client().get(path)
    assert (answer.status_code, answer.text) == (200, f"<!doctype html>{body}")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"


async def test_content_hashed_files_are_immutable_in_caches(client):
    answer = await client().get("/assets/index-abc.js")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")


async def test_an_unchanged_page_is_304(client):
    first = await client().get("/")
    again = await client().get("/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/.built-from", "/assets/../.built-from", "/nothing", "/index.html"])
async def test_unknown_paths_are_404(client, path):
    answer = await client().get(path)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "UNKNOWN_PATH")


async def test_a_browser_gets_the_404_as_a_page(client):
    answer = await client().get("/nothing", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (answer.status_code, answer.text) == (404, "<!doctype html>nothing here")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/ops", "/docs", "/openapi.json", "/healthz"])
async def test_head_is_answered_like_get(client, path):
    assert (await client().head(path)).status_code == 200


async def test_other_methods_are_405_with_the_usual_error(client):
    answer = await client().put("/")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (405, "UNSUPPORTED_METHOD")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_pages_know_their_issuer_and_the_policy_allows_it(client):
    issuer = Issuer("https://issuer.example.com/realm", "shop-pages", "openid", "")
    answer = await client(issuer=issuer).get("/sign-in.json")
    assert answer.json() == {
        "issuer": "https://issuer.example.com/realm",
        "clientId": "shop-pages",
        "scope": "openid",
        "discovery": "",
    }
    page = await client(issuer=issuer).get("/")
    assert "connect-src 'self' https://issuer.example.com;" in page.headers["content-security-policy"]


async def test_an_issuer_at_the_edge_adds_no_host_to_the_policy(client):
    issuer = Issuer("http://issuer.internal:8080", "shop-pages", "openid", "/issuer/.well-known/openid-configuration")
    page = await client(issuer=issuer).get("/")
    assert "connect-src 'self';" in page.headers["content-security-policy"]


async def test_without_an_issuer_the_configuration_names_none(client):
    assert (await client().get("/sign-in.json")).json() == {}


async def test_the_last_catalogue_is_served_while_inventory_is_down(client, catalogue, mesh, clock):
    await catalogue.look()
    mesh.away = True
    clock.now += 600
    await catalogue.look()
    catalogue = (await client().get("/catalogue.json")).json()
    assert catalogue["asOf"] == 1000.0
    assert catalogue["products"][0]["displayName"] == "Mug"
    assert catalogue["products"][0]["stock"] == {"onHand": "10", "available": "7", "held": "1", "sold": "2"}


async def test_without_a_cached_catalogue_the_error_is_returned(client, catalogue, mesh):
    mesh.away = True
    await catalogue.look()
    answer = await client().get("/catalogue.json")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (503, "NO_CATALOGUE")


async def test_a_catalogue_above_the_cache_limit_is_not_cached(catalogue, mesh, monkeypatch):
    await catalogue.look()
    kept = catalogue.last()
    monkeypatch.setattr(catalogues, "MAX_BYTES", 3)
    await catalogue.look()
    assert catalogue.last() == kept


async def test_the_openapi_document_is_served(client):
    answer = await client().get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"openapi": "3.1.0"}


def test_a_folder_without_pages_is_an_error_with_the_command_to_run(tmp_path):
    with pytest.raises(files.NoPages, match=r"gateway\.pages\.build"):
        files.load(tmp_path, tmp_path / "openapi.json")


async def test_the_board_is_for_operators(client):
    refused = await client().get("/ops/api/board")
    assert refused.status_code == 403
    assert refused.json()["details"][0]["reason"] == "OPERATOR_ONLY"
    assert (await client().get("/ops/api/board", headers=OPERATOR)).status_code == 200


async def test_the_history_is_for_operators_and_of_a_known_period(client):
    assert (await client().get("/ops/api/history")).status_code == 403
    assert (await client().get("/ops/api/history", headers=OPERATOR)).json()["period"] == "1h"
    wrong = await client().get("/ops/api/history?period=1y", headers=OPERATOR)
    assert (wrong.status_code, wrong.json()["details"][0]["reason"]) == (400, "UNKNOWN_PERIOD")


async def test_a_fault_is_lifted_by_name(client, mesh):
    assert (await client().post("/ops/api/faults/inventory:lift", headers=OPERATOR)).status_code == 200
    assert mesh.lifted == ["inventory"]
    unknown = await client().post("/ops/api/faults/orders:lift", headers=OPERATOR)
    assert (unknown.status_code, unknown.json()["details"][0]["reason"]) == (404, "NO_SUCH_FAULT")


async def test_cross_site_requests_lift_nothing(client, mesh):
    headers = {**OPERATOR, "sec-fetch-site": "cross-site"}
    assert (await client().post("/ops/api/faults/inventory:lift", headers=headers)).status_code == 403
    assert mesh.lifted == []


async def test_concurrent_viewers_share_one_query_a_second(board, clock, paths_queried):
    await asyncio.gather(*(board.read() for _ in range(20)))
    once = len(paths_queried)
    clock.now += 0.5
    await board.read()
    assert len(paths_queried) == once
    clock.now += 0.6
    await board.read()
    assert len(paths_queried) == 2 * once


async def test_a_failed_part_is_unknown_and_the_others_are_shown(board, mesh):
    mesh.away = True
    read = await board.read()
    assert read["stock"] is None
    assert read["problems"] == {"stock": "inventory is away"}
    assert read["numbers"]["outbox_waiting"] == 3


async def test_without_prometheus_its_parts_are_unknown(mesh, clock):
    transport = httpx.MockTransport(lambda _: httpx.Response(502))
    away = Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=transport))
    read = await Board(away, mesh, mesh, Stores(away, {}), clock).read()
    assert read["alerts"] is read["calls"] is read["breakers"] is read["pods"] is read["numbers"] is None
    assert read["stock"][0]["off"] == 0
    assert "502" in read["problems"]["calls"]


async def test_alerts_that_fire_are_on_the_board(mesh, clock):
    firing = {"metric": {"alertname": "DeadLetters", "severity": "ticket", "service": "orders"}, "value": [0, "900"]}

    def answer(request):
        found = [firing] if "ALERTS" in request.url.params["query"] else []
        return httpx.Response(200, json={"data": {"result": found}})

    prometheus = Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=httpx.MockTransport(answer)))
    assert (await Board(prometheus, mesh, mesh, Stores(prometheus, {}), clock).read())["alerts"] == [
        {"name": "DeadLetters", "severity": "ticket", "since": 900.0, "labels": {"service": "orders"}}
    ]


async def test_queries_to_prometheus_are_limited(board, paths_queried):
    await board.read()
    assert len(paths_queried) <= 10


async def test_a_slow_part_does_not_delay_the_others(board, mesh, clock, monkeypatch):
    monkeypatch.setattr(boards, "PART_S", 2.0)

    answers, begun = asyncio.Event(), []

    async def late():
        begun.append(1)
        await answers.wait()
        return []

    monkeypatch.setattr(mesh, "products", late)
    read = await board.read()
    assert read["problems"] == {"stock": "no response within 2 s"}
    assert read["numbers"]["outbox_waiting"] == 3
    # The query continues: it is neither cancelled nor started a second time.
    clock.now += 2
    answers.set()
    assert (await board.read())["stock"] == []
    assert len(begun) == 1


async def test_runbooks_are_for_operators_and_named_after_alerts(client):
    assert (await client().get("/ops/api/help")).status_code == 403
    help_texts = (await client().get("/ops/api/help", headers=OPERATOR)).json()
    assert help_texts["runbooks"]["ServiceDown"].startswith("- **Means**")
    assert "## " not in help_texts["runbooks"]["ServiceDown"]
    assert help_texts["figures"]["orders_pending"] == queries.NUMBERS["orders_pending"]


async def test_a_missing_value_is_not_zero(mesh, clock):
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": {"result": []}}))
    empty = Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=transport))
    assert (await Board(empty, mesh, mesh, Stores(empty, {}), clock).read())["numbers"]["dead_letters"] is None
