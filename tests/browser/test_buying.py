"""A customer buys, whatever happens meanwhile."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import UNREACHABLE, add, keep_token, order_name, place_order

OUTAGE_S = 12


def test_what_a_customer_buys_is_confirmed(well, open_page, screenshot):
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


def test_the_basket_is_empty_after_buying_and_the_order_is_among_mine(well, open_page):
    page = open_page()
    add(page, "Tea kettle")
    place_order(page)
    name = order_name(page)
    page.get_by_role("link", name="Basket").click()
    expect(page.get_by_text("Your basket is empty.")).to_be_visible()
    page.get_by_role("link", name="My orders").click()
    expect(page.locator(f"a[href='#/{name}']")).to_contain_text("Confirmed")


def test_an_order_without_an_answer_waits_for_its_own_customer(well, open_page):
    """Sent for somebody else, the same key would be a second order; and it is in nobody else's way."""
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
    page.get_by_role("link", name="Basket, 3 items").click()
    expect(page.get_by_label("Quantity of Field notebook").get_by_role("spinbutton")).to_have_value("3")


def test_what_is_sold_out_meanwhile_is_refused_in_words_and_nothing_is_ordered(well, open_page, screenshot):
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
    # What was called off comes back to the shelf, and the page sees it without a reload.
    expect(lamp).to_contain_text("in stock")
    page.get_by_role("link", name="Basket, 2 items").click()
    page.get_by_role("button", name="Place order").click()
    order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()


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


def test_one_order_comes_of_a_checkout_whose_edge_went_away(well, open_page, screenshot):
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
def test_one_order_comes_of_a_checkout_whose_line_broke(well, open_page, broken):
    """Cut before the order arrives, or after it was placed and before the customer heard of it."""
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


def test_an_order_page_takes_up_its_line_where_it_broke(well, open_page):
    page = open_page(forgive=UNREACHABLE)
    add(page, "Olive oil")
    place_order(page)
    order_name(page)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    well.make("kill", SVC="edge")
    expect(page.get_by_text("Connection lost")).to_be_visible()
    time.sleep(1)
    well.make("start", SVC="edge")
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=OUTAGE_S * 1000)
    page.get_by_role("button", name="Call this order off").click()
    page.get_by_role("button", name="Yes, call it off").click()
    expect(page.get_by_role("heading", name="This order was called off")).to_be_visible()
    expect(page.locator(".timeline li")).to_have_count(2)
