"""
Real Chromium on the running stack's pages.

Which stack is read from the environment (PORT, NETWORK, STATE), as every command does. Screenshots
are kept in STATE/screenshots, or in the folder that SCREENSHOTS names.
"""

import contextlib
import json
import os
import re
import subprocess
import time
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
# What Chromium says when the edge is away or answers with an error; the page itself must cope.
UNREACHABLE = (r"Failed to load resource", r"net::ERR_")
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
# What axe finds that keeps people out.
SERIOUS = ("serious", "critical")
expect.set_options(timeout=15_000)


class Stack:
    """One running stack: its edge and its commands."""

    def __init__(self, chosen):
        self.settings = chosen
        self.url = chosen.edge_url
        self.killed = set()

    def make(self, target, **variables):
        """Run a target of the Makefile on this stack and return what it printed; what is killed is remembered."""
        if target == "kill":
            self.killed.add(variables["SVC"])
        environment = {**os.environ, **self.settings.environment(), "MAKEFLAGS": ""}
        words = ["make", "-s", "-C", str(CHECKOUT), target]
        words += [f"{name}={value}" for name, value in variables.items()]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def token(self, name, *, operator=False):
        """What the development issuer would give to *name*."""
        return customer.token(self.settings, name, operator=operator)

    def client(self):
        """Calls the API as the customer whom the tests buy for."""
        return httpx.Client(base_url=self.url, headers=rest.signed(self.token(BUYER)), timeout=10)

    def buy(self, product, quantity=1):
        """Order something; the API's answer."""
        with self.client() as client:
            return rest.place(client, rest.basket(product, quantity))

    def orders(self):
        """Every order of the tests' customer."""
        found, token = [], ""
        with self.client() as client:
            while True:
                page = client.get("/v1/orders", params={"pageSize": 500, "pageToken": token}).json()
                found += page["orders"]
                token = page["nextPageToken"]
                if not token:
                    return found

    def sold_out(self, product):
        """Buy all there is of a product, and cancel that in the end."""
        return self.left(product, 0)

    @contextlib.contextmanager
    def left(self, product, count):
        """Buy all but *count* of a product, and cancel that in the end."""
        bought = []
        with self.client() as client:
            while (more := int(client.get(f"/v1/{product}").json()["stock"]["available"]) - count) > 0:
                bought.append(self.buy(product, min(more, 1000)).json()["name"])
            try:
                yield
            finally:
                for name in bought:
                    client.post(f"/v1/{name}:cancel", json={}).raise_for_status()

    def pending(self):
        """The orders that wait for their stock."""
        with self.client() as client:
            return client.get("/v1/orders", params={"state": "PENDING"}).json()["orders"]

    def wait_until_confirming(self, *, within_s=60):
        """Wait until a new order is confirmed at once and none waits, so that a test begins with everything well."""
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


@pytest.fixture(scope="session")
def stack():
    return Stack(stack_settings.read(os.environ, checkout=CHECKOUT))


@pytest.fixture
def well(stack):
    """The stack with everything running, before the test and after it."""
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
    """Opens pages as somebody who has never been here; what the console complains of fails the test."""
    contexts, complaints = [], []

    def open_at(path="/", *, size=DESKTOP, scheme="light", language="en-GB", forgive=(), who=BUYER, routed=False):
        """A page whose requests are *routed* has no service worker: behind one the test would not see them."""
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
            # The page goes on asking while it is closed.
            page.unroute_all(behavior="ignoreErrors")
        context.close()
    assert complaints == []


@pytest.fixture
def screenshot(stack):
    """Keeps a picture of the page, for people to look at."""
    folder = Path(os.environ.get("SCREENSHOTS") or stack.settings.state / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page, name):
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    return keep


def keep_token(token):
    """The script that makes a browser's session one of that token."""
    return f"localStorage.setItem('shop.token', {json.dumps(json.dumps(token))})"


def sign_in(page, name, *, operator=False):
    """From a button that leads there, through the development issuer's page, and back."""
    page.get_by_role("button", name=re.compile("^Sign in")).click()
    page.get_by_label("Name").fill(name)
    if operator:
        page.get_by_label("Also an operator").check()
    page.get_by_role("button", name="Sign in").click()


def complaints(page):
    """What axe finds in the page that keeps people out."""
    # Still experimental in axe, and settled in WCAG (2.5.3).
    options = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{each['impact']}: {each['help']}: {node['html'][:120]}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


def add(page, product, times=1):
    """Put a product into the basket."""
    page.get_by_role("button", name=f"Add to basket: {product}").click()
    for _ in range(times - 1):
        page.get_by_role("button", name=f"One more {product}").click()


def place_order(page):
    """From wherever the visitor is to the pressed button."""
    page.get_by_role("link", name=re.compile("^Basket")).click()
    page.get_by_role("button", name="Place order").click()


def order_name(page):
    """The order that the page shows."""
    page.wait_for_url(re.compile(r"#/orders/[0-9a-f-]{36}$"))
    return page.url.split("#/")[1]
