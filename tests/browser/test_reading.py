"""The pages with a keyboard, with a screen reader, in Spanish, on a phone, and in dark mode."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, OPERATOR, PHONE, add, complaints, order_name, place_order


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "size"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_axe_finds_no_violations(stack, open_page, screenshot, device, size, scheme):
    page = open_page(size=size, scheme=scheme, who=OPERATOR)
    look = f"{device}-{scheme}"

    def check(name):
        screenshot(page, f"{look}-{name}")
        assert complaints(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"

    add(page, "Enamel mug")
    add(page, "Wool blanket", 2)
    check("products")
    hidden = page.locator(".description").evaluate_all("all => all.filter(e => e.scrollHeight > e.clientHeight).length")
    assert hidden == 0, "descriptions are cut off"
    page.get_by_role("link", name="Tea kettle").click()
    expect(page.get_by_role("heading", name="Tea kettle")).to_be_focused()
    check("product")
    page.get_by_role("link", name=re.compile("^Basket")).click()
    expect(page.get_by_role("heading", name="Basket")).to_be_visible()
    check("basket")
    place_order(page)
    order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
    check("order")
    page.get_by_role("link", name="My orders", exact=True).click()
    expect(page.locator(".orders li").first).to_be_visible()
    check("orders")
    page.get_by_role("link", name="Account").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    check("account")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Name")).to_be_focused()
    check("issuer")
    page.goto(stack.url + "/ops")
    expect(page.get_by_role("heading", name="Operations")).to_be_visible()
    expect(page.locator(".as-of")).to_contain_text("As of")
    check("board")


def test_an_order_can_be_placed_by_keyboard_alone(stack, open_page):
    page = open_page()

    def reach(name):
        for _ in range(60):
            page.keyboard.press("Tab")
            if (
                page.evaluate(
                    "(document.activeElement.getAttribute('aria-label') || document.activeElement.textContent).trim()"
                )
                == name
            ):
                return
        raise AssertionError(f"the Tab key does not reach {name!r}")

    expect(page.get_by_role("button", name="Add to basket: Bread knife")).to_be_visible()
    reach("Add to basket: Bread knife")
    page.keyboard.press("Enter")
    page.keyboard.press("Home")
    page.get_by_role("link", name="Skip to content").focus()
    reach("Basket 1 item")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Basket")).to_be_focused()
    reach("Place order")
    page.keyboard.press("Enter")
    order_name(page)
    expect(page.get_by_role("heading", name=re.compile("^Order "))).to_be_focused()


def test_a_change_of_an_order_is_announced(stack, open_page):
    page = open_page()
    add(page, "Olive oil")
    place_order(page)
    order_name(page)
    announcement = page.locator("[aria-live=polite]")
    expect(announcement).to_contain_text("Your order is confirmed")
    page.get_by_role("button", name="Cancel order").click()
    expect(page.get_by_role("button", name="Keep the order")).to_be_focused()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(announcement).to_contain_text("This order was cancelled")


def test_pages_are_in_the_browsers_language_and_it_can_be_changed(stack, open_page, screenshot):
    page = open_page(language="es-ES")
    expect(page.get_by_role("heading", name="Productos")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "es"
    page.get_by_role("button", name="Añadir a la cesta: Taza esmaltada").click()
    page.get_by_role("link", name="Taza esmaltada", exact=True).click()
    expect(page.get_by_role("heading", name="Taza esmaltada")).to_be_focused()
    expect(page.get_by_text("resiste una hoguera")).to_be_visible()
    assert page.locator("main [lang=en]").count() == 0
    page.get_by_role("link", name="Cesta 1 artículo").click()
    expect(page.locator(".sum")).to_contain_text("12,90")
    page.get_by_role("button", name="Hacer el pedido").click()
    expect(page.get_by_role("heading", name="Su pedido está confirmado")).to_be_visible()
    screenshot(page, "spanish-confirmed")
    page.get_by_role("button", name="EN, English").click()
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()


def test_the_pages_make_no_requests_to_other_hosts(stack, open_page):
    page = open_page("/#/account", who=OPERATOR)
    urls = []
    page.on("request", lambda request: urls.append(request.url))
    for path in ("/", "/ops"):
        page.goto(stack.url + path)
        page.wait_for_timeout(1_000)
    assert urls
    assert [url for url in urls if not url.startswith(stack.url)] == []
