"""A customer places orders, under every failure."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import UNREACHABLE, add, keep_token, order_name, place_order

OUTAGE_S = 12


def test_a_customers_order_is_confirmed(well, open_page, screenshot):
    page = open_page()
    add(page, "Enamel mug", 2)
    add(page, "Olive oil")
    place_order(page)
    name = order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
    expect(page.get_by_text("€42.55")).to_be_visible()
    screenshot(page, "confirmed")
    stored = next(order for order in well.orders() if order["name"] == name)
    assert stored["state"] == "CONFIRMED"
    assert {line["product"]: line["quantity"] for line in stored["lines"]} == {
        "products/enamel-mug": 2,
        "products/olive-oil": 1,
    }


def test_after_an_order_the_basket_is_empty_and_the_order_is_listed(well, open_page):
    page = open_page()
    add(page, "Tea kettle")
    place_order(page)
    name = order_name(page)
    page.get_by_role("link", name="Basket").click()
    expect(page.get_by_text("Your basket is empty.")).to_be_visible()
    page.get_by_role("link", name="My orders").click()
    expect(page.locator(f"a[href='#/{name}']")).to_contain_text("Confirmed")


def test_an_order_with_an_unknown_outcome_is_kept_for_its_own_customer(well, open_page):
    """Sent for another customer, the same key would be a second order; and it must not block others."""
    page = open_page(forgive=UNREACHABLE, who="", routed=True)
    sent = []
    page.route(re.compile("/v1/orders$"), lambda route: (sent.append(route.request.method), route.abort())[1])
    page.evaluate(keep_token(well.token("first")))
    page.reload()
    add(page, "Enamel mug")
    place_order(page)
    expect(page.get_by_role("heading", name="We don't know yet whether your order has arrived")).to_be_visible()
    page.evaluate(keep_token(well.token("second")))
    page.reload()
    expect(page.get_by_text("Sign in as first to find out")).to_be_visible()
    before = len(sent)
    page.wait_for_timeout(3_000)
    assert len(sent) == before
    page.unroute_all(behavior="ignoreErrors")
    place_order(page)
    order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()


def test_a_basket_survives_a_reload(well, open_page):
    page = open_page()
    add(page, "Field notebook", 3)
    page.reload()
    page.get_by_role("link", name="Basket 3 items").click()
    expect(page.get_by_label("Quantity of Field notebook").get_by_role("spinbutton")).to_have_value("3")


def test_a_product_sold_out_meanwhile_is_refused_with_a_message(well, open_page, screenshot):
    page = open_page(forgive=UNREACHABLE)
    add(page, "Table lamp", 2)
    with well.sold_out("products/table-lamp"):
        before = len(well.orders())
        place_order(page)
        expect(page.get_by_role("heading", name="Your order was not placed")).to_be_visible()
        expect(page.get_by_role("alert").get_by_role("listitem")).to_have_text(re.compile("^Table lamp .* sold out$"))
        screenshot(page, "refused")
        assert len(well.orders()) == before
        page.get_by_role("link", name="Products").click()
        lamp = page.locator("li.product").filter(has_text="Table lamp")
        expect(lamp).to_contain_text("Sold out")
    # Cancelled units become available, and the page shows it without a reload.
    expect(lamp).to_contain_text("in stock")
    page.get_by_role("link", name="Basket 2 items").click()
    page.get_by_role("button", name="Place order").click()
    order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()


@pytest.fixture
def few_left(well):
    """Open a shop with two field notebooks available."""
    with well.left("products/field-notebook", 2):
        yield well


def test_too_large_a_quantity_is_shown_at_its_line_before_ordering(few_left, open_page, screenshot):
    page = open_page()
    expect(page.locator("li.product", has_text="Field notebook")).to_contain_text("Only 2 left")
    add(page, "Field notebook", 2)
    expect(page.get_by_role("button", name="One more Field notebook")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("link", name=re.compile("^Basket")).click()
    page.get_by_role("spinbutton", name="Quantity of Field notebook").fill("6")
    page.keyboard.press("Enter")
    line = page.locator(".lines li").filter(has_text="Field notebook")
    expect(line).to_contain_text("Only 2 left.")
    screenshot(page, "basket-too-many")
    line.get_by_role("button", name="Take 2, Field notebook").click()
    expect(page.get_by_role("spinbutton", name="Quantity of Field notebook")).to_have_value("2")
    expect(page.get_by_role("spinbutton", name="Quantity of Field notebook")).to_be_focused()
    expect(line).not_to_contain_text("Only 2 left.")


def test_a_rejection_marks_the_line_with_the_available_quantity(few_left, open_page, screenshot):
    """Also when the catalogue cannot be reloaded meanwhile."""
    page = open_page(forgive=UNREACHABLE, routed=True)
    add(page, "Field notebook")
    add(page, "Olive oil")
    page.get_by_role("link", name=re.compile("^Basket")).click()
    page.get_by_role("spinbutton", name="Quantity of Field notebook").fill("2")
    page.keyboard.press("Enter")
    page.route(re.compile("/v1/products|/catalogue.json"), lambda route: route.abort())
    with few_left.left("products/field-notebook", 1):
        page.get_by_role("button", name="Place order").click()
        expect(page.get_by_role("alert").get_by_role("listitem")).to_have_text(
            re.compile("^Field notebook .* only 1 left$")
        )
        page.get_by_role("button", name="Back to the basket").click()
        expect(page.locator(".lines li").filter(has_text="Field notebook")).to_contain_text("Only 1 left.")
        expect(page.locator(".lines li").filter(has_text="Olive oil")).not_to_contain_text("left")
        screenshot(page, "basket-after-refusal")


def test_a_sold_out_product_has_no_button(well, open_page, screenshot):
    with well.left("products/table-lamp", 0):
        page = open_page()
        lamp = page.locator("li.product").filter(has_text="Table lamp")
        expect(lamp).to_contain_text("Sold out")
        expect(lamp.get_by_role("button")).to_have_count(0)
        screenshot(page, "sold-out")
        page.goto(well.url + "/#/products/table-lamp")
        expect(page.get_by_role("heading", name="Table lamp")).to_be_visible()
        expect(page.locator("main").get_by_role("button")).to_have_count(0)


def test_a_rejected_order_names_the_line_and_that_nothing_is_charged(well, open_page, screenshot):
    page = open_page(forgive=UNREACHABLE)
    add(page, "Table lamp", 2)
    add(page, "Olive oil")
    with well.sold_out("products/table-lamp"):
        well.make("kill", SVC="inventory")
        place_order(page)
        order_name(page)
        expect(page.get_by_role("heading", name="We have your order")).to_be_visible()
        expect(page.locator(".sum")).to_contain_text("Estimated total")
        expect(page.locator(".sum")).to_contain_text("€")
        screenshot(page, "pending-estimated")
        well.make("start", SVC="inventory")
        expect(page.get_by_role("heading", name="We could not fulfil your order")).to_be_visible(timeout=60_000)
        lines = page.locator(".lines li")
        expect(lines.filter(has_text="Table lamp")).to_contain_text("Sold out now")
        expect(lines.filter(has_text="Olive oil")).not_to_contain_text("now")
        expect(page.locator(".sum")).to_contain_text("Nothing to pay")
        screenshot(page, "rejected")


def test_a_first_visitor_while_inventory_is_down_sees_the_catalogue_and_can_order(well, open_page, screenshot):
    well.make("kill", SVC="inventory")
    page = open_page(forgive=UNREACHABLE)
    expect(page.get_by_role("heading", name="Enamel mug")).to_be_visible(timeout=30_000)
    expect(page.locator(".notice")).to_contain_text("We can't check prices and stock right now")
    screenshot(page, "first-visit-without-inventory")
    add(page, "Enamel mug")
    place_order(page)
    name = order_name(page)
    expect(page.get_by_role("heading", name="We have your order")).to_be_visible()
    well.make("start", SVC="inventory")
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible(timeout=60_000)
    assert [order["state"] for order in well.orders() if order["name"] == name] == ["CONFIRMED"]


def test_a_product_has_a_page_of_its_own(well, open_page):
    page = open_page("/#/products/tea-kettle")
    expect(page.get_by_role("heading", name="Tea kettle")).to_be_visible()
    page.get_by_role("button", name="Add to basket: Tea kettle").click()
    page.get_by_role("link", name="Continue shopping").click()
    expect(page.get_by_role("heading", name="Products")).to_be_focused()
    page.get_by_role("link", name="Basket 1 item").click()
    page.get_by_role("link", name="Tea kettle").click()
    expect(page.get_by_role("heading", name="Tea kettle")).to_be_visible()
    page.goto(well.url + "/#/products/no-such-thing")
    expect(page.get_by_text("There is no such product here.")).to_be_visible()


# Runs after the change of the page that brings the orders, and before the browser paints it.
PLACE_WHEN_FIRST_SHOWN = """
new MutationObserver((changes, observer) => {
  if (document.querySelector(".orders li") === null) return;
  window.placeWhenFirstShown = scrollY;
  observer.disconnect();
}).observe(document.body, { childList: true, subtree: true });
"""


def test_my_orders_keep_their_scroll_position_and_can_be_filtered(well, open_page):
    for _ in range(max(0, 25 - len(well.orders()))):
        well.buy("products/wool-blanket")
    page = open_page("/#/orders")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".orders li").nth(22)).to_be_visible()
    row = page.locator(".orders li a").nth(22)
    row.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    before = page.evaluate("scrollY")
    assert before > 0
    row.click()
    expect(page.get_by_role("heading", name=re.compile("^Order "))).to_be_focused()
    # What is seen first counts: a page that jumps from its top afterwards is right a frame later.
    page.evaluate(PLACE_WHEN_FIRST_SHOWN)
    page.go_back()
    expect(page.locator(".orders li").nth(22)).to_be_visible()
    assert abs(page.evaluate("placeWhenFirstShown") - before) < 50
    assert abs(page.evaluate("scrollY") - before) < 50
    cancelled = well.buy("products/wool-blanket").json()["name"]
    with well.client() as client:
        client.post(f"/v1/{cancelled}:cancel", json={}).raise_for_status()
    page.get_by_label("Show").select_option("Cancelled")
    expect(page.locator(f"a[href='#/{cancelled}']")).to_be_visible()
    badges = page.locator(".orders .badge")
    assert set(badges.all_text_contents()) == {"Cancelled"}
    page.reload()
    expect(page.get_by_label("Show")).to_have_value("CANCELLED")
    expect(badges.first).to_have_text("Cancelled")


def test_a_pending_order_turns_confirmed_without_a_reload(well, open_page, screenshot):
    page = open_page(forgive=UNREACHABLE)
    add(page, "Linen towel")
    well.make("kill", SVC="inventory")
    place_order(page)
    name = order_name(page)
    expect(page.get_by_role("heading", name="We have your order")).to_be_visible()
    expect(page.get_by_text("Received", exact=True)).to_be_visible()
    page.evaluate("window.notReloaded = true")
    screenshot(page, "pending")
    well.make("start", SVC="inventory")
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("listitem").filter(has_text="Stock set aside; order confirmed")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="the stock is still to be checked")).to_be_visible()
    assert page.evaluate("window.notReloaded")
    screenshot(page, "pending-then-confirmed")
    assert [order["state"] for order in well.orders() if order["name"] == name] == ["CONFIRMED"]


def test_a_checkout_during_an_edge_outage_places_one_order(well, open_page, screenshot):
    page = open_page(forgive=UNREACHABLE)
    before = {order["name"] for order in well.orders()}
    add(page, "Coffee grinder")
    well.make("kill", SVC="edge")
    place_order(page)
    expect(page.get_by_role("heading", name="We don't know yet whether your order has arrived")).to_be_visible()
    screenshot(page, "unknown")
    page.reload()
    expect(page.get_by_role("heading", name="We don't know yet whether your order has arrived")).to_be_visible()
    well.make("start", SVC="edge")
    name = order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
    assert {order["name"] for order in well.orders()} - before == {name}


@pytest.mark.parametrize("broken", ["request", "answer"])
def test_a_checkout_over_a_broken_connection_places_one_order(well, open_page, broken):
    """Cut before the order arrives, or after it was placed and before the customer got the response."""
    page = open_page(forgive=UNREACHABLE, routed=True)
    before = {order["name"] for order in well.orders()}
    keys = []

    def cut(route):
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 2:
            return route.continue_()
        if broken == "answer":
            route.fetch()
        return route.abort("connectionreset")

    page.route(
        re.compile("/v1/orders$"), lambda route: cut(route) if route.request.method == "POST" else route.continue_()
    )
    add(page, "Beeswax candle")
    place_order(page)
    name = order_name(page)
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert {order["name"] for order in well.orders()} - before == {name}


def test_an_order_page_resumes_its_event_stream(well, open_page):
    page = open_page(forgive=UNREACHABLE)
    add(page, "Olive oil")
    place_order(page)
    order_name(page)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    well.make("kill", SVC="edge")
    expect(page.locator("#main").get_by_text("Connection lost")).to_be_visible()
    time.sleep(1)
    well.make("start", SVC="edge")
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=OUTAGE_S * 1000)
    page.get_by_role("button", name="Cancel order").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.get_by_role("heading", name="This order was cancelled")).to_be_visible()
    expect(page.locator(".timeline li")).to_have_count(2)
