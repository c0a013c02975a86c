"""
Real Chromium on the running stack's pages.

The stack is the environment's (PORT, NETWORK, STATE), as for every command. Screenshots are kept in STATE/screenshots,
or in the folder of SCREENSHOTS.
"""

import contextlib
import functools
import json
import os
import re
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from shop_client import rest
from stack import customer
from stack import settings as stack_settings

CHECKOUT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
BUYER = "browser-tests"
OPERATOR = "browser-operator"
# The most units of a line that the contract allows.
MAX_QUANTITY = 1000
CANCELS_AT_A_TIME = 8
# Chromium's messages when the edge is down or returns an error; the page itself must handle these.
UNREACHABLE = (r"Failed to load resource", r"net::ERR_")
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
# The impacts of axe's findings that fail a test.
SERIOUS = ("serious", "critical")
expect.set_options(timeout=15_000)


class Stack:
    """One running stack: its edge and its commands."""

    def __init__(self, chosen):
        self.settings = chosen
        self.url = chosen.edge_url
        self.killed = set()

    def make(self, target, **variables):
        """Run a target of the Makefile on this stack and return its output; remember what is killed."""
        if target == "kill":
            self.killed.add(variables["SVC"])
        environment = {**os.environ, **self.settings.environment(), "MAKEFLAGS": ""}
        words = ["make", "-s", "-C", str(CHECKOUT), target]
        words += [f"{name}={value}" for name, value in variables.items()]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def token(self, name, *, operator=False):
        """Return a token of the development issuer for *name*."""
        return customer.token(self.settings, name, operator=operator)

    def client(self):
        """Return an API client of the customer of the browser tests."""
        return httpx.Client(base_url=self.url, headers=rest.signed(self.token(BUYER)), timeout=10)

    def buy(self, product, quantity=1):
        """Place an order; return the API's response."""
        with self.client() as client:
            return rest.place(client, rest.basket(product, quantity))

    def orders(self):
        """Return every order of the tests' customer."""
        found, token = [], ""
        with self.client() as client:
            while True:
                page = client.get("/v1/orders", params={"pageSize": 500, "pageToken": token}).json()
                found += page["orders"]
                token = page["nextPageToken"]
                if not token:
                    return found

    def sold_out(self, product):
        """Sell out a product, and cancel that at the end."""
        return self.left(product, 0)

    @contextlib.contextmanager
    def left(self, product, count):
        """Leave *count* units of a product, and cancel that at the end."""
        bought = []
        with self.client() as client, ThreadPoolExecutor(CANCELS_AT_A_TIME) as pool:
            while (more := int(client.get(f"/v1/{product}").json()["stock"]["available"]) - count) > 0:
                requests = [_requested(product, each) for each in _at_most(more, MAX_QUANTITY)]
                answer = client.post("/v1/orders:batchCreate", json={"requests": requests}).raise_for_status()
                bought += [each["order"]["name"] for each in answer.json()["outcomes"]]
            try:
                yield
            finally:
                for answer in pool.map(functools.partial(rest.cancel, client), bought):
                    answer.raise_for_status()

    def pending(self):
        """Return the pending orders."""
        with self.client() as client:
            return client.get("/v1/orders", params={"state": "PENDING"}).json()["orders"]

    def wait_until_confirming(self, *, within_s=60):
        """
        Wait until a new order is confirmed at once and none is pending, so that a test begins in a healthy state.
        """
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            try:
                answer = self.buy("products/wool-blanket")
                if answer.json().get("state") == "CONFIRMED" and not self.pending():
                    return
            except (httpx.HTTPError, ValueError, LookupError):
                pass
            time.sleep(0.5)
        raise AssertionError(f"no order is confirmed within {within_s} s")


def _at_most(total, limit):
    """Return *total* as a list of numbers up to *limit*."""
    whole, remainder = divmod(total, limit)
    return [limit] * whole + [remainder] * bool(remainder)


def _requested(product, quantity):
    return {"order": rest.basket(product, quantity), "requestId": str(uuid.uuid4())}


@pytest.fixture(scope="session")
def stack():
    return Stack(stack_settings.read(os.environ, checkout=CHECKOUT))


@pytest.fixture
def well(stack):
    """Return the stack with everything running, before the test and after it."""
    stack.wait_until_confirming()
    yield stack
    while stack.killed:
        stack.make("start", SVC=stack.killed.pop())


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, stack, request):
    """Open pages as a new visitor; errors in the console fail the test."""
    contexts, complaints = [], []

    def open_at(path="/", *, size=DESKTOP, scheme="light", language="en-GB", forgive=(), who=BUYER, routed=False):
        """Open a page whose requests are *routed*, without a service worker, which would hide them from the test."""
        context = chromium.new_context(
            viewport=size,
            color_scheme=scheme,
            locale=language,
            reduced_motion="reduce",
            service_workers="block" if routed else "allow",
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        if who:
            token = stack.token(who, operator=who == OPERATOR)
            context.add_init_script(keep_token(token))
        page = context.new_page()

        def heard(message):
            if message.type == "error" and not any(re.search(each, message.text) for each in forgive):
                complaints.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(stack.url + path)
        return page

    yield open_at
    for context in contexts:
        for page in context.pages:
            # The page continues its requests while it is closed.
            page.unroute_all(behavior="ignoreErrors")
        context.close()
    assert complaints == []


@pytest.fixture
def screenshot(stack):
    """Save a screenshot of the page."""
    folder = Path(os.environ.get("SCREENSHOTS") or stack.settings.state / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page, name):
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    return keep


def keep_token(token):
    """Return the script that sets a browser's session to that token."""
    return f"localStorage.setItem('shop.token', {json.dumps(json.dumps(token))})"


def sign_in(page, name, *, operator=False):
    """Sign in, from a button that leads there, through the development issuer's page, and back."""
    page.get_by_role("button", name=re.compile("^Sign in")).click()
    page.get_by_label("Name").fill(name)
    if operator:
        page.get_by_label("Also an operator").check()
    page.get_by_role("button", name="Sign in").click()


def complaints(page):
    """Return axe's findings in the page."""
    # Still experimental in axe, and required by WCAG (2.5.3).
    options = {"rules": {"label-content-name-mismatch": {"enabled": True}}, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{each['impact']}: {each['help']}: {node['html'][:120]}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


def add(page, product, times=1):
    """Add a product to the basket."""
    page.get_by_role("button", name=f"Add to basket: {product}").click()
    for _ in range(times - 1):
        page.get_by_role("button", name=f"One more {product}").click()


def place_order(page):
    """Place the order, from any page of the shop."""
    page.get_by_role("link", name=re.compile("^Basket")).click()
    page.get_by_role("button", name="Place order").click()


def order_name(page):
    """Return the order that the page shows."""
    page.wait_for_url(re.compile(r"#/orders/[0-9a-f-]{36}$"))
    return page.url.split("#/")[1]
