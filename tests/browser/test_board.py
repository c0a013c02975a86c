"""The operators' board shows the state of the mesh, and its actions work."""

import re
import time

import httpx
import pytest
from playwright.sync_api import expect

from stack.topology.addresses import Host, Network, Port
from tests.browser.conftest import CHECKOUT, DESKTOP, OPERATOR, PHONE, UNREACHABLE, complaints
from tests.support.waiting import wait_until

FAULT = CHECKOUT / "tests" / "browser" / "fault.yaml"


def buy(stack, times):
    for _ in range(times):
        stack.buy("products/tea-kettle")


def test_the_board_shows_a_breaker_open_and_closed_again(well, open_page, screenshot):
    page = open_page("/ops", who=OPERATOR, forgive=UNREACHABLE)
    breakers = page.locator("[data-breaker^='orders-'][data-breaker$=' inventory']")
    expect(breakers.first).to_be_visible()
    # Kill sidecars instead of services: an unready service is removed from the mesh, and its breaker with it.
    for replica in ("inventory-0", "inventory-1"):
        well.make("kill", SVC=f"{replica}-envoy")
    deadline = time.monotonic() + 40
    while breakers.get_by_text("open", exact=True).count() == 0:
        assert time.monotonic() < deadline, "no breaker is shown open"
        buy(well, 2)
        page.wait_for_timeout(200)
    expect(page.locator(".tile", has_text="Breakers not closed").locator("strong")).not_to_have_text("0")
    replica = page.get_by_role("region", name="Replicas").get_by_role("row").filter(has_text="inventory-0")
    expect(replica).to_contain_text("proxy down")
    screenshot(page, "board-breaker-open")
    for replica in ("inventory-0", "inventory-1"):
        well.make("start", SVC=f"{replica}-envoy")
    for index in range(breakers.count()):
        expect(breakers.nth(index)).to_contain_text("closed", timeout=90_000)
    screenshot(page, "board-breaker-closed")


def printed(stack):
    """Return the rows of `make breakers`: the states by (sidecar, service, subset)."""
    found = {}
    for line in stack.make("breakers").splitlines()[1:]:
        sidecar, target, _, state, *_ = re.split(r"  +", line)
        service, subset = re.fullmatch(r"([^.]+)[^ ]*(?: \((\w+)\))?", target).groups()
        found.setdefault((sidecar, service, subset or ""), []).append(state)
    return {key: summary(states) for key, states in found.items()}


def summary(states):
    if states == ["no hosts"]:
        return "empty"
    ejected = [state for state in states if state != "closed"]
    return "closed" if not ejected else "open" if len(ejected) == len(states) else "partly"


def shown(stack):
    """Return the board's rows in the same form."""
    signed = {"authorization": f"Bearer {stack.token(OPERATOR, operator=True)}"}
    end = time.monotonic() + 30
    while True:
        answer = httpx.get(f"{stack.url}/ops/api/board", headers=signed, timeout=20)
        # Retried, as the page does on a busy machine.
        if answer.is_success and answer.json()["breakers"] is not None:
            break
        assert time.monotonic() < end, answer.text
    lines = answer.json()["breakers"]
    return {(line["pod"], line["to"], line["subset"]): line["state"] for line in lines}


def agree(stack, key, state, *, within_s=90):
    """
    Order until the board and `make breakers` show the same *state* of one breaker.

    Not of all of them at every moment: the board lags by a scrape of Prometheus, and a breaker that admits a host for
    a moment is seen by one of the two. tests/unit/gateway/pages/test_breakers.py compares the same moments.
    """
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        stack.buy("products/tea-kettle")
        # The command takes a second: it is run once the board has the state.
        if (board := shown(stack).get(key)) == state and printed(stack).get(key) == state:
            return
        time.sleep(0.2)
    raise AssertionError(f"not within {within_s} s; the board says {board}, make breakers {printed(stack).get(key)}")


def test_the_board_and_make_breakers_agree_through_an_outage(well):
    inventory = ("orders-0", "inventory", "")
    for replica in ("inventory-0", "inventory-1"):
        well.make("kill", SVC=f"{replica}-envoy")
    agree(well, inventory, "open")
    for replica in ("inventory-0", "inventory-1"):
        well.make("start", SVC=f"{replica}-envoy")
    agree(well, inventory, "closed")
    well.make("kill", SVC="inventory")
    agree(well, inventory, "empty")
    well.make("start", SVC="inventory")
    agree(well, inventory, "closed")


def test_the_board_shows_the_edges_breaker_open_while_every_order_is_refused(well):
    """The edge calls orders by several clusters, and only one of them is open."""
    for replica in ("orders-0", "orders-1"):
        well.make("kill", SVC=f"{replica}-envoy")
    agree(well, ("edge-0", "orders", "calls"), "open")
    assert printed(well)["edge-0", "orders", "batches"] == "closed"
    for replica in ("orders-0", "orders-1"):
        well.make("start", SVC=f"{replica}-envoy")
    agree(well, ("edge-0", "orders", "calls"), "closed")


def test_calls_and_stock_on_the_board_match_the_services(well, open_page):
    page = open_page("/ops", who=OPERATOR)
    # With a product that no other test sells out, since the board rounds large numbers.
    before = stock_sold(well, "products/coffee-grinder")
    for _ in range(3):
        well.buy("products/coffee-grinder")
    row = page.get_by_role("region", name="Stock").get_by_role("row").filter(has_text="Coffee grinder")
    expect(row.get_by_role("cell").nth(3)).to_have_text(str(before + 3))
    expect(page.get_by_role("rowheader", name="edge → orders")).to_be_visible()
    expect(page.get_by_role("rowheader", name="orders → inventory")).to_be_visible()


def stock_sold(stack, product):
    return int(httpx.get(f"{stack.url}/v1/{product}").json()["stock"]["sold"])


def test_the_board_shows_a_stopped_service_without_hosts(well, open_page):
    page = open_page("/ops", who=OPERATOR, forgive=UNREACHABLE)
    well.make("kill", SVC="inventory")
    calls = page.get_by_role("region", name="Calls").get_by_role("row").filter(has_text="orders → inventory")
    expect(calls).to_contain_text("no hosts", timeout=30_000)
    replica = page.get_by_role("region", name="Replicas").get_by_role("row").filter(has_text="inventory-0")
    expect(replica).to_contain_text("down")
    well.make("start", SVC="inventory")
    expect(calls).to_contain_text("closed", timeout=60_000)
    expect(replica).to_contain_text("up", timeout=30_000)


def test_unknown_values_are_shown_as_unknown(well, open_page):
    page = open_page("/ops", who=OPERATOR, forgive=UNREACHABLE)
    expect(page.get_by_role("rowheader", name="Tea kettle")).to_be_visible()
    well.make("kill", SVC="inventory")
    expect(page.locator("section", has_text="Stock").get_by_text("Not known:")).to_be_visible(timeout=30_000)


def test_cross_site_requests_to_the_board_lift_nothing(stack):
    signed = {"authorization": f"Bearer {stack.token(OPERATOR, operator=True)}", "sec-fetch-site": "cross-site"}
    answer = httpx.post(f"{stack.url}/ops/api/faults/anything:lift", json={}, headers=signed)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (403, "OTHER_SITE")


def test_orders_by_state_and_backlog_match_the_service(well, open_page):
    page = open_page("/ops", who=OPERATOR)
    expect(page.locator(".bars", has_text="Orders by state")).to_contain_text("CONFIRMED")
    expect(page.get_by_text("0 dead letters, 0 events that Kafka refuses")).to_be_visible()
    for topic in ("pending_orders.dead", "order_events.inventory.dead"):
        row = page.get_by_role("region", name="Dead letters").get_by_role("row").filter(has_text=topic)
        expect(row.get_by_role("cell").first).to_have_text("0")
    page.get_by_role("button", name="Compare with orders").click()
    expect(page.get_by_text("0 differences, 0 repaired.")).to_be_visible(timeout=60_000)


def test_a_fault_in_force_is_shown_and_lifted_with_a_button(well, open_page, screenshot):
    page = open_page("/ops", who=OPERATOR)
    expect(page.get_by_text("None: every call goes through as it is.")).to_be_visible()
    well.make("mesh-apply", FILE=FAULT)
    try:
        fault = page.get_by_role("listitem").filter(has_text="delay 1s, 50%")
        expect(fault).to_contain_text("some calls to orders")
        screenshot(page, "board-fault")
        fault.get_by_role("button", name="Lift the faults of orders").click()
        expect(page.get_by_text("None: every call goes through as it is.")).to_be_visible()
    finally:
        left = well.make("mesh-diff")
        if "fault" in left:
            well.make("mesh-delete", FILE=FAULT)
    assert "fault" not in left


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_alerts_that_fire_are_on_top_of_the_board(stack, open_page, screenshot, size, scheme):
    page = open_page(who=OPERATOR, size=size, scheme=scheme, routed=True, forgive=UNREACHABLE)
    alerts = []

    def answer(route):
        answer = route.fetch()
        if not answer.ok:
            return route.fulfill(response=answer)
        board = answer.json()
        since = board["at"] - 180
        firing = [{"name": name, "severity": how, "since": since, "labels": labels} for name, how, labels in alerts]
        return route.fulfill(json={**board, "alerts": firing})

    # Alerts that take minutes to fire are faked here; that real ones are shown is tested in tests/unit/gateway/pages.
    page.route("**/ops/api/board", answer)
    page.goto(stack.url + "/ops")
    expect(page.get_by_role("heading", name="Who")).to_be_visible()
    expect(page.get_by_role("heading", name="Alerts")).not_to_be_visible()
    alerts += [
        ("SecondCopyMissing", "page", {}),
        ("ReplicaDown", "ticket", {"service": "orders", "pod": "orders-1", "job": "envoys"}),
    ]
    expect(page.get_by_role("heading", name="Alerts")).to_be_visible()
    table = page.get_by_role("region", name="Alerts")
    expect(table.get_by_role("row").filter(has_text="SecondCopyMissing")).to_contain_text("page")
    expect(table.get_by_role("row").filter(has_text="ReplicaDown")).to_contain_text("ticket")
    expect(table.get_by_role("row").filter(has_text="ReplicaDown")).to_contain_text("orders-1, envoys")
    expect(table.get_by_role("row").filter(has_text="ReplicaDown")).to_contain_text("3 min")
    row = table.get_by_role("row").filter(has_text="ReplicaDown")
    row.get_by_role("link", name="ReplicaDown", exact=True).click()
    expect(page.get_by_text("Runbook: ReplicaDown")).to_be_focused()
    expect(page.locator("#runbook-ReplicaDown pre", has_text="Means")).to_be_visible()
    expect(row.get_by_role("link", name="in Prometheus")).to_have_attribute(
        "href", re.compile("/classic/graph.*ReplicaDown")
    )
    assert page.locator("h2").first.text_content() == "Alerts"
    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(page, f"board-alerts-{scheme}")


def test_every_data_store_is_a_box_with_its_state(well, open_page, screenshot):
    page = open_page("/ops", who=OPERATOR, forgive=UNREACHABLE)
    for name in ("PostgreSQL", "Kafka", "Redis", "etcd"):
        expect(page.locator(f"[data-store={name}] .badge")).to_have_text("up", timeout=60_000)
    database = page.locator("[data-store=PostgreSQL]")
    expect(database).to_contain_text("leader")
    expect(database).to_contain_text("copy in sync")
    well.make("kill", SVC="redis")
    expect(page.locator("[data-store=Redis] .badge")).to_have_text("down", timeout=30_000)
    screenshot(page, "board-store-down")
    well.make("start", SVC="redis")
    expect(page.locator("[data-store=Redis] .badge")).to_have_text("up", timeout=30_000)


def test_the_edges_outage_and_restart_are_on_the_board(well, open_page):
    page = open_page("/ops", who=OPERATOR, forgive=UNREACHABLE)
    edge = page.get_by_role("region", name="Replicas").get_by_role("row").filter(has_text="edge-0")
    before = int(edge.get_by_role("cell").nth(1).text_content())
    well.make("kill", SVC="edge")
    wait_until(lambda: missed_scrapes(well, "edge"), within_s=30)
    well.make("start", SVC="edge")
    expect(edge.get_by_role("cell").nth(1)).to_have_text(str(before + 1), timeout=60_000)
    expect(edge.get_by_role("cell").nth(2)).to_have_text(re.compile(r"\d+:\d+"))


def missed_scrapes(stack, service):
    """Return the targets of a service that Prometheus could not scrape the last time."""
    at = Network(stack.settings.network).at(Host.PROMETHEUS, Port.PROMETHEUS)
    query = {"query": f'up{{service="{service}"}} == 0'}
    return httpx.get(f"http://{at}/api/v1/query", params=query).raise_for_status().json()["data"]["result"]


@pytest.mark.parametrize("state", ["open", "partly", "empty"])
def test_no_label_is_hidden_when_everything_fails(stack, open_page, screenshot, state):
    page = open_page(who=OPERATOR, routed=True, forgive=UNREACHABLE)
    ways = [("edge", "orders"), ("edge", "inventory"), ("edge", "pages"), ("orders", "inventory")]
    ways += [("inventory", "orders"), ("pages", "inventory")]

    def answer(route):
        answer = route.fetch()
        if not answer.ok:
            return route.fulfill(response=answer)
        board = answer.json()
        calls = [{"from": one, "to": other, "rate": 123.4, "errors": 123.4, "p99_ms": 12345} for one, other in ways]
        line = {"pod": "any-0", "subset": "", "state": state, "hosts": 2, "ejected": 2}
        return route.fulfill(
            json={**board, "calls": calls, "breakers": [{**line, "from": a, "to": b} for a, b in ways]}
        )

    page.route("**/ops/api/board", answer)
    page.goto(stack.url + "/ops")
    labels = page.locator(".mesh .label text")
    expect(labels).to_have_count(3 * len(ways))
    screenshot(page, f"board-everything-{state}")
    boxes = [each.bounding_box() for each in page.locator(".mesh rect").all()]
    labels = [(each.text_content(), each.bounding_box()) for each in page.locator(".mesh g.label").all()]
    assert [text for text, box in labels for other in boxes if overlap(box, other)] == []
    assert [(one, other) for n, (one, a) in enumerate(labels) for other, b in labels[n + 1 :] if overlap(a, b)] == []


def overlap(one, other):
    """Return whether two boxes of the page overlap."""
    wide = min(one["x"] + one["width"], other["x"] + other["width"]) - max(one["x"], other["x"])
    high = min(one["y"] + one["height"], other["y"] + other["height"]) - max(one["y"], other["y"])
    return wide > 0 and high > 0


def test_the_boards_links_lead_to_their_targets(well, open_page):
    page = open_page("/ops", who=OPERATOR, forgive=UNREACHABLE)
    expect(page.get_by_role("link", name="Prometheus", exact=True)).to_have_attribute("href", re.compile("^http"))
    waiting = page.locator(".tile", has_text="Orders waiting").get_by_role("link")
    expect(waiting).to_have_accessible_name(re.compile(r"^\d+, Orders waiting, in Prometheus$"))
    graph = httpx.get(waiting.get_attribute("href"))
    assert graph.is_success
    assert "orders_pending" in str(graph.url)
    expect(page.get_by_role("link", name="p99", exact=True)).to_have_attribute("href", re.compile("histogram_quantile"))
    order = well.buy("products/tea-kettle").json()["name"]
    page.get_by_label("Order", exact=True).fill(order)
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(f"{well.url}/ops#/{order}")
    life = page.get_by_role("region", name="Order timeline")
    expect(life.get_by_role("row", name=re.compile("CONFIRMED|PENDING")).first).to_contain_text("orders-")
    expect(life.get_by_role("row", name=re.compile("^answered"))).to_contain_text("request ")
    page.get_by_role("link", name="As its customer sees it").click()
    page.wait_for_url(f"{well.url}/#/{order}")
    expect(page.get_by_role("heading", name=re.compile("^Order "))).to_be_visible()
