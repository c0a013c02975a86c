"""The board's history: the figures over a chosen time, of the system and of one hop, with what happened drawn in."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import CHECKOUT, OPERATOR, PHONE, complaints

FAULT = CHECKOUT / "chaos" / "faults" / "inventory-delay.yaml"


def test_the_history_of_the_system_and_of_a_hop(well, open_page, screenshot):
    well.make("mesh-apply", FILE=str(FAULT))
    try:
        for _ in range(10):
            well.buy("products/tea-kettle")
        page = open_page("/ops", who=OPERATOR)
        history = page.locator("#history")
        history.get_by_text("15m", exact=True).click()
        plots = history.locator("figure.plot")
        expect(plots).to_have_count(7)
        # The rate of calls is measured once two scrapes saw them.
        expect(plots.first).to_contain_text(
            re.compile(r"calls [0-9.]+/s, at most [0-9.]*[1-9][0-9.]*/s"), timeout=60_000
        )
        for index in range(7):
            expect(plots.nth(index)).not_to_contain_text("nothing was measured")
            expect(plots.nth(index).locator("canvas")).to_be_visible()
        fault = history.locator(".key li", has_text="injected fault")
        expect(fault).to_contain_text(re.compile("[0-9]:[0-9]"), timeout=90_000)
        expect(history.locator(".key")).to_contain_text("started")
        history.scroll_into_view_if_needed()
        screenshot(page, "board-history")
        assert complaints(page) == []
        page.locator(".mesh .label", has_text="p99").nth(1).click()
        expect(history.get_by_role("heading")).to_contain_text("→")
        expect(plots).to_have_count(4)
        page.get_by_role("button", name="orders → inventory").click()
        expect(history.get_by_role("heading")).to_have_text("History of calls orders → inventory")
        expect(plots.first).to_contain_text(re.compile(r"calls [0-9.]+/s"))
        screenshot(page, "board-history-of-a-hop")
        history.get_by_role("button", name="The whole system").click()
        expect(plots).to_have_count(7)
    finally:
        well.make("mesh-delete", FILE=str(FAULT))


def test_the_period_is_chosen_with_the_keyboard_and_fits_a_phone(well, open_page, screenshot):
    page = open_page("/ops", who=OPERATOR, size=PHONE)
    history = page.locator("#history")
    history.get_by_label("1h", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(history.get_by_label("6h", exact=True)).to_be_checked()
    expect(history.locator("figure.plot")).to_have_count(7)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    history.scroll_into_view_if_needed()
    screenshot(page, "board-history-phone")
