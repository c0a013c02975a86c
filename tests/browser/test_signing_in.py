"""Signing in at the issuer, a session over all tabs, its end, and tokens that the edge refuses."""

import dataclasses
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from gateway.issuer.settings import IssuerSettings
from gateway.issuer.signing import Signer, key_in
from tests.browser.conftest import (
    BUYER,
    OPERATOR,
    UNREACHABLE,
    add,
    keep_token,
    order_name,
    place_order,
    sign_in,
)

NO_ORDER = "Your order was not placed"


@pytest.fixture
def signer(stack):
    settings = IssuerSettings(state=stack.settings.secrets / "issuer")
    return Signer(key_in(settings.state), settings.url)


@pytest.fixture
def forged(signer, tmp_path):
    """Return a token like the issuer's, signed by another key."""

    def make(name, *, operator=False):
        forger = dataclasses.replace(signer, key=key_in(tmp_path))
        return forger.token(name, now=datetime.now(UTC), lifetime=timedelta(hours=1), operator=operator)

    return make


def use(page, token):
    page.evaluate(keep_token(token))
    page.reload()


def test_anonymous_visitors_sign_in_when_they_order(well, open_page, screenshot):
    # A name that the issuer rejects is a 400.
    page = open_page(who="", forgive=[r"status of 400"])
    add(page, "Enamel mug")
    page.get_by_role("link", name=re.compile("^Basket")).click()
    page.get_by_role("link", name="Sign in to order").click()
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Name").fill("no such name")
    screenshot(page, "issuer")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("A name has")
    page.get_by_label("Name").fill("newcomer")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Place order").click()
    order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
    page.get_by_role("link", name="Account").click()
    expect(page.get_by_text("You are signed in as newcomer.")).to_be_visible()


def test_the_authorization_code_is_removed_from_the_address(well, open_page):
    page = open_page("/#/account", who="")
    sign_in(page, "newcomer")
    expect(page.get_by_text("You are signed in as newcomer.")).to_be_visible()
    assert "code=" not in page.evaluate("JSON.stringify([location.href, document.referrer, {...localStorage}])")


def test_session_and_sign_out_apply_to_all_tabs(well, open_page):
    page = open_page("/#/account", who="")
    other = page.context.new_page()
    other.goto(well.url + "/#/account")
    sign_in(page, "newcomer")
    expect(other.get_by_text("You are signed in as newcomer.")).to_be_visible()
    other.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_an_operator_signs_in_on_the_board(well, open_page):
    page = open_page("/ops", who="")
    sign_in(page, "op", operator=True)
    page.wait_for_url(well.url + "/ops")
    expect(page.get_by_role("rowheader", name="Tea kettle")).to_be_visible()


def test_a_session_ends_when_its_token_expires(well, open_page, signer):
    page = open_page("/#/orders", who="")
    use(page, signer.token(BUYER, now=datetime.now(UTC), lifetime=timedelta(seconds=4)))
    expect(page.locator(".orders li, .empty").first).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("your session is over")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_an_unsolicited_authorization_response_is_ignored(well, open_page):
    page = open_page("/signed-in?code=guessed&state=guessed", who="", forgive=UNREACHABLE)
    expect(page.get_by_role("heading", name="Signing in did not work")).to_be_visible()
    assert page.evaluate("localStorage.getItem('shop.token')") is None
    assert "code=" not in page.url


def test_an_order_with_a_refused_token_is_not_placed_and_can_be_retried(well, open_page, forged):
    page = open_page(who="", forgive=UNREACHABLE, routed=True)
    keys = []
    page.on("request", lambda sent: keys.append(sent.headers.get("idempotency-key")) if sent.method == "POST" else None)
    use(page, forged(BUYER))
    add(page, "Enamel mug", 2)
    place_order(page)
    expect(page.get_by_role("heading", name=NO_ORDER)).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("did not accept your sign-in")
    expect(page.get_by_role("link", name=re.compile("^Basket 2"))).to_be_visible()
    sign_in(page, BUYER)
    page.get_by_role("button", name="Place order").click()
    order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()
    sent = [key for key in keys if key]
    assert len(sent) == 2
    assert len(set(sent)) == 1


def test_an_order_with_a_refused_token_can_be_discarded(well, open_page, forged):
    page = open_page(who="", forgive=UNREACHABLE)
    use(page, forged(BUYER))
    add(page, "Enamel mug")
    place_order(page)
    expect(page.get_by_role("heading", name=NO_ORDER)).to_be_visible()
    page.get_by_role("button", name="Give this attempt up").click()
    expect(page.get_by_text("There is no order on its way.")).to_be_visible()
    expect(page.get_by_role("link", name="Basket 1 item")).to_be_visible()


def test_a_refused_token_blocks_nothing_for_the_next_customer_on_the_device(well, open_page, forged):
    page = open_page(who="", forgive=UNREACHABLE)
    use(page, forged("first"))
    add(page, "Enamel mug")
    place_order(page)
    expect(page.get_by_role("heading", name=NO_ORDER)).to_be_visible()
    page.get_by_role("link", name="Account").click()
    sign_in(page, "second")
    page.get_by_role("link", name=re.compile("^Basket")).click()
    page.get_by_role("button", name="Place order").click()
    order_name(page)
    expect(page.get_by_role("heading", name="Your order is confirmed")).to_be_visible()


@pytest.mark.parametrize("path", ["/#/orders", "/#/orders/00000000-0000-0000-0000-000000000000"])
def test_my_orders_ask_to_sign_in_when_the_token_is_refused(well, open_page, forged, path):
    page = open_page(path, who="", forgive=UNREACHABLE)
    use(page, forged(BUYER))
    expect(page.get_by_role("alert")).to_contain_text("did not accept your sign-in")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.get_by_text("tries again by itself").count() == 0


def test_products_are_shown_with_any_token(well, open_page, forged):
    page = open_page(who="", forgive=UNREACHABLE)
    use(page, forged(BUYER))
    expect(page.get_by_role("heading", name="Enamel mug")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.get_by_text("can't check the stock").count() == 0


def test_the_board_says_that_a_token_is_refused(well, open_page, forged):
    page = open_page("/ops", who="", forgive=UNREACHABLE)
    use(page, forged(OPERATOR, operator=True))
    expect(page.get_by_role("alert")).to_contain_text("it is wrong, has expired, or is from another issuer")
    expect(page.get_by_role("button", name="Sign in as an operator")).to_be_visible()


def test_the_board_says_that_a_customer_is_not_an_operator(well, open_page, screenshot):
    page = open_page("/ops", who="", forgive=UNREACHABLE)
    use(page, well.token(BUYER))
    expect(page.get_by_role("alert")).to_contain_text(f"You are signed in as {BUYER}, who is not an operator")
    screenshot(page, "board-customer")
    assert page.get_by_text("kettle").count() == 0
    page.get_by_role("button", name="Sign in as somebody else").click()
    sign_in(page, "op", operator=True)
    expect(page.get_by_role("rowheader", name="Tea kettle")).to_be_visible()


def test_a_developer_may_use_their_own_token(well, open_page):
    page = open_page("/#/account", who="")
    page.get_by_text("For developers").click()
    page.get_by_label("Sign-in token").fill("not a token")
    page.get_by_role("button", name="Use this token").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Sign-in token").fill(well.token("newcomer"))
    page.get_by_role("button", name="Use this token").click()
    expect(page.get_by_text("You are signed in as newcomer.")).to_be_visible()
