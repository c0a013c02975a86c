"""The edge's check of JSON bodies, in the LuaJIT that Envoy has too: its one worker must not wait for any of them."""

import time
from importlib import resources

import pytest
from lupa.luajit21 import LuaRuntime

from gateway.edge import contract, routes
from gateway.edge.filters import MAX_BODY_BYTES
from stack.settings import CHECKOUT

MAX_BLOCKED_S = 0.05
LINE = '{"product":"products/tea","quantity":1}'
BASKET = ",".join([LINE] * 20)
ORDER, BATCH = "shop.orders.v1.Order", "shop.orders.v1.BatchCreateOrdersRequest"
# The most work for the message, up to the largest body that the edge takes.
HEAVY = {
    "lines": (ORDER, '{"lines":[%s]}', LINE, 24_000),
    "values": (ORDER, '{"lines":[%s]}', '{"quantity":1}', 49_000),
    "empty objects": (ORDER, '{"lines":[%s]}', "{}", 340_000),
    "names": (ORDER, "{%s}", '"a":1', 170_000),
    "brackets": (ORDER, '{"lines":%s', "[", 500_000),
    "orders": (BATCH, '{"requests":[%s]}', f'{{"order":{{"lines":[{BASKET}]}}}}', 1_000),
}
TEXTS = {
    "escapes": '{"stateReason":"' + "\\n" * 500_000 + '"}',
    "white space": "{" + " " * 1_000_000 + "}",
    "a number": '{"version":' + "1" * 1_000_000 + "}",
    "a name": '{"' + "x" * 1_000_000 + '":1}',
}
BODIES = {name: (kind, frame % ",".join([one] * count)) for name, (kind, frame, one, count) in HEAVY.items()}
BODIES |= {name: (ORDER, text) for name, text in TEXTS.items()}


@pytest.fixture(scope="module")
def check():
    shop = contract.load(CHECKOUT / "build/descriptors.binpb")
    folder = resources.files("gateway.edge").joinpath("lua")
    tables = f"REQUESTS = {routes.to_lua(routes.requests(shop.bindings, shop.pool))}"
    scripts = [folder.joinpath(f"{name}.lua").read_text() for name in ("headers", "json")]
    return LuaRuntime(encoding=None).execute("\n".join([tables, *scripts, "return wrong_json"]))


@pytest.mark.parametrize("case", BODIES)
def test_no_body_blocks_the_worker(check, case):
    kind, text = BODIES[case]
    body, took = text.encode()[:MAX_BODY_BYTES], []
    for _ in range(3):
        began = time.process_time()
        check(body, kind.encode(), b"")
        took.append(time.process_time() - began)
    assert min(took) < MAX_BLOCKED_S
