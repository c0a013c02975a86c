"""
What is mutated, and the tests that must detect it: only the closest ones, because they run thousands of times.
"""

from collections.abc import Mapping

INVENTORY = "tests/unit/inventory"
ORDERS = "tests/unit/orders"
RUNTIME = "tests/unit/runtime"

MODULES: Mapping[str, str] = {
    "inventory_svc.projection": f"{INVENTORY}/test_projection.py",
    "inventory_svc.api": f"{INVENTORY}/test_api.py",
    "inventory_svc.codec": f"{INVENTORY}/test_codec.py",
    "inventory_svc.entries": f"{INVENTORY}/test_ledger.py",
    "inventory_svc.events": f"{INVENTORY}/test_events.py",
    "inventory_svc.generation": f"{INVENTORY}/test_generation.py",
    "inventory_svc.holds": f"{INVENTORY}/test_holds.py",
    "inventory_svc.leases": f"{INVENTORY}/test_leases.py",
    "inventory_svc.ledger": f"{INVENTORY}/test_ledger.py",
    "inventory_svc.ledger_follower": f"{INVENTORY}/test_ledger.py",
    "inventory_svc.refusals": INVENTORY,
    "inventory_svc.stock": f"{INVENTORY}/test_stock.py",
    "inventory_svc.wire": INVENTORY,
    "inventory_svc.verdict": f"{INVENTORY}/test_verdict.py",
    "orders_svc.api": ORDERS,
    "orders_svc.checkout": f"{ORDERS}/test_checkout.py",
    "orders_svc.discrepancies": ORDERS,
    "orders_svc.inventory_client": f"{ORDERS}/test_inventory.py",
    "orders_svc.order": f"{ORDERS}/test_order.py",
    "orders_svc.refusals": ORDERS,
    "orders_svc.saga": f"{ORDERS}/test_saga.py",
    "orders_svc.watch": f"{ORDERS}/test_watch.py",
    "orders_svc.wire": ORDERS,
    "runtime.messaging.consumer": f"{RUNTIME}/test_consumer.py",
    "runtime.messaging.message": f"{RUNTIME}/test_message.py",
    "runtime.messaging.putting_aside": f"{RUNTIME}/test_wrappers.py",
    "runtime.messaging.wrappers": f"{RUNTIME}/test_wrappers.py",
}
# These run the scripts on a Redis of their own.
SCRIPTS = "tests/components/inventory/test_store.py"
LUA_FOLDER = "inventory_svc/lua"
LUA_LOADER = "inventory_svc.scripts"
"""The module that loads the scripts; its `_files` lists them."""
