"""
Keyboard and screen readers: focus is never lost, changes are announced once, accessible names contain the visible
labels (WCAG 2.2).
"""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OPERATOR, add, complaints, order_name, place_order


def focused(page):
    """Return the focused element, by its accessible name."""
    return page.evaluate(
        "(() => { const e = document.activeElement;"
        " return e === document.body ? 'BODY' : (e.getAttribute('aria-label') || e.textContent).trim() })()"
    )


def announcement(page):
    return page.locator("[aria-live]")


def press(page, role, name):
    """Press a button with the keyboard, after it got the focus."""
    page.get_by_role(role, name=name, exact=True).focus()
    page.keyboard.press("Enter")


def test_adding_changing_and_removing_keep_the_focus_at_the_product(stack, open_page):
    page = open_page()
    press(page, "button", "Add to basket: Olive oil")
    expect(page.get_by_role("button", name="One more Olive oil")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("spinbutton", name="Quantity of Olive oil")).to_have_value("2")
    assert focused(page) == "One more Olive oil"
    for _ in range(2):
        press(page, "button", "One Olive oil less")
    expect(page.get_by_role("button", name="Add to basket: Olive oil")).to_be_focused()


def test_removing_lines_moves_the_focus_to_the_next_one_and_then_to_the_heading(stack, open_page):
    page = open_page()
    for product in ("Olive oil", "Enamel mug", "Tea kettle"):
        add(page, product)
    page.get_by_role("link", name=re.compile("^Basket")).click()
    press(page, "button", "Remove Enamel mug from the basket")
    expect(page.get_by_role("button", name="Remove Tea kettle from the basket")).to_be_focused()
    press(page, "button", "Remove Tea kettle from the basket")
    expect(page.get_by_role("button", name="Remove Olive oil from the basket")).to_be_focused()
    press(page, "button", "One Olive oil less")
    expect(page.get_by_role("heading", name="Basket")).to_be_focused()


@pytest.mark.parametrize("first", ["answer", "event"])
def test_cancelling_keeps_the_focus(stack, open_page, first):
    """Whether the page learns of the order's end from the response to its call or from its subscription first."""
    page = open_page(routed=True)
    add(page, "Olive oil")
    place_order(page)
    name = order_name(page)
    press(page, "button", "Cancel order")
    expect(page.get_by_role("button", name="Keep the order")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel order")).to_be_focused()
    page.keyboard.press("Enter")
    held = []
    page.route("**/*:cancel", lambda route: route.fulfill(json={}) if first == "answer" else held.append(route))
    press(page, "button", "Yes, cancel it")
    if first == "answer":
        expect(page.get_by_role("button", name="Cancel order")).to_be_focused()
    with stack.client() as client:
        client.post(f"/v1/{name}:cancel", json={}).raise_for_status()
    expect(page.get_by_role("heading", name="This order was cancelled")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    for route in held:
        route.fulfill(json={})
    page.wait_for_timeout(100)
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_changes_are_announced_in_one_polite_live_region(stack, open_page):
    page = open_page()
    expect(page.get_by_role("heading", name="Enamel mug")).to_be_visible()
    expect(announcement(page)).to_have_count(1)
    expect(announcement(page)).to_have_attribute("aria-live", "polite")
    add(page, "Enamel mug")
    expect(announcement(page)).to_have_text("Enamel mug is in the basket.")
    page.get_by_role("button", name="One more Enamel mug").click()
    expect(announcement(page)).to_have_text("Enamel mug: 2 in the basket.")
    page.get_by_role("spinbutton", name="Quantity of Enamel mug").fill("3")
    page.keyboard.press("Enter")
    expect(announcement(page)).to_have_text("Enamel mug: 3 in the basket.")
    page.get_by_role("link", name=re.compile("^Basket")).click()
    page.get_by_role("button", name="Remove Enamel mug from the basket").click()
    expect(announcement(page)).to_have_text("Enamel mug is no longer in the basket.")
    assert page.locator("[role=status], [role=log]").count() == 0


def test_a_placed_order_is_announced_in_the_same_region(stack, open_page):
    page = open_page()
    add(page, "Olive oil")
    place_order(page)
    order_name(page)
    expect(announcement(page)).to_contain_text("Your order is confirmed.")
    expect(announcement(page)).to_have_count(1)


@pytest.mark.parametrize("language", ["en-GB", "es-ES"])
def test_accessible_names_contain_the_visible_labels(stack, open_page, language):
    page = open_page(language=language, who=OPERATOR)
    page.locator("li.product button.primary").first.click()
    assert complaints(page) == []
    page.locator("a.to-basket").click()
    expect(page.locator("button.remove")).to_be_visible()
    assert complaints(page) == []
    page.goto(stack.url + "/ops")
    expect(page.get_by_role("rowheader", name="Tea kettle")).to_be_visible()
    assert complaints(page) == []
