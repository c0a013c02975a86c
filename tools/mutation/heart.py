"""
What is mutated, the tests that must detect it, and which modules are excluded, and why.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGES = ("orders_svc", "inventory_svc", "runtime", "runtime.messaging")
"""Each of their modules is mutated or excluded; a test looks."""
MODULES = (
    "inventory_svc.api",
    "inventory_svc.audit",
    "inventory_svc.codec",
    "inventory_svc.entries",
    "inventory_svc.events",
    "inventory_svc.fullness",
    "inventory_svc.generation",
    "inventory_svc.history",
    "inventory_svc.holds",
    "inventory_svc.leases",
    "inventory_svc.ledger",
    "inventory_svc.ledger_follower",
    "inventory_svc.marker",
    "inventory_svc.orders_client",
    "inventory_svc.ports",
    "inventory_svc.present",
    "inventory_svc.projection",
    "inventory_svc.rebuild",
    "inventory_svc.recovery",
    "inventory_svc.refusals",
    "inventory_svc.relay",
    "inventory_svc.scripts",
    "inventory_svc.staging",
    "inventory_svc.stock",
    "inventory_svc.store",
    "inventory_svc.verdict",
    "inventory_svc.wire",
    "orders_svc.allocation_store",
    "orders_svc.answers",
    "orders_svc.api",
    "orders_svc.archive",
    "orders_svc.backlog",
    "orders_svc.breaker",
    "orders_svc.changes",
    "orders_svc.checkout",
    "orders_svc.customer_data",
    "orders_svc.customer_store",
    "orders_svc.dead_letters",
    "orders_svc.discrepancies",
    "orders_svc.erase_again",
    "orders_svc.inventory_client",
    "orders_svc.listing",
    "orders_svc.operations",
    "orders_svc.operations_ports",
    "orders_svc.operations_store",
    "orders_svc.order",
    "orders_svc.ports",
    "orders_svc.reconcile",
    "orders_svc.refusals",
    "orders_svc.rewind",
    "orders_svc.rows",
    "orders_svc.saga",
    "orders_svc.session",
    "orders_svc.statement",
    "orders_svc.store",
    "orders_svc.timeline",
    "orders_svc.watch",
    "orders_svc.wire",
    "runtime.batching",
    "runtime.deadline",
    "runtime.messaging.cluster",
    "runtime.messaging.consumer",
    "runtime.messaging.consumer_lag",
    "runtime.messaging.dead_letters",
    "runtime.messaging.errors",
    "runtime.messaging.group_lag",
    "runtime.messaging.message",
    "runtime.messaging.offsets",
    "runtime.messaging.outbox",
    "runtime.messaging.outbox_backlog",
    "runtime.messaging.outbox_shards",
    "runtime.messaging.published",
    "runtime.messaging.publisher",
    "runtime.messaging.dead_lettering",
    "runtime.messaging.reader",
    "runtime.messaging.redrive",
    "runtime.messaging.relay",
    "runtime.messaging.topic_ids",
    "runtime.messaging.topics",
    "runtime.messaging.waiting",
    "runtime.messaging.wrappers",
    "runtime.money",
    "runtime.money_message",
    "runtime.page_token",
    "runtime.secret_file",
    "runtime.shares",
)
_WIRES = "puts parts together and decides nothing; a service that starts shows that it does"
_SETTINGS = "names and defaults; the tests of the stack and of the manifests hold them against what is set"
_SERVES = "serves and watches any service; what it promises is shown by calls to real servers, not by the heart's tests"
EXCLUDED: Mapping[str, str] = {
    "inventory_svc.__main__": _WIRES,
    "inventory_svc.catalogue": "what the example shop sells: data",
    "inventory_svc.connection": "settings of Redis's client, which only a Redis that fails can show",
    "inventory_svc.consumers": _WIRES,
    "inventory_svc.migrations": _WIRES,
    "inventory_svc.schedule": _WIRES,
    "inventory_svc.settings": _SETTINGS,
    "inventory_svc.topics": _SETTINGS,
    "inventory_svc.wiring": _WIRES,
    "orders_svc.__main__": _WIRES,
    "orders_svc.consumers": _WIRES,
    "orders_svc.messages": "a command that prints a topic: no part of the service",
    "orders_svc.migrations": "runs dbmate, a program of its own",
    "orders_svc.schedule": _WIRES,
    "orders_svc.settings": _SETTINGS,
    "orders_svc.sql": "texts of SQL, which is not Python to mutate",
    "orders_svc.topics": _SETTINGS,
    "orders_svc.wiring": _WIRES,
    "runtime.background": _SERVES,
    "runtime.breakers": _SERVES,
    "runtime.broken_pipe": _SERVES,
    "runtime.call_counts": _SERVES,
    "runtime.caller": _SERVES,
    "runtime.channel": _SERVES,
    "runtime.clock": "the time itself, which tests replace",
    "runtime.database": "settings of PostgreSQL's client, which only a server that fails can show",
    "runtime.errors": "the classes of errors and their codes: a table",
    "runtime.interceptors": _SERVES,
    "runtime.loop_lag": "a timer on the real clock, whose bounds only real time shows",
    "runtime.messages": _SERVES,
    "runtime.notifier": "PostgreSQL's LISTEN and NOTIFY, which only a server shows",
    "runtime.refusals": "the classes of errors and their codes: a table",
    "runtime.reply": _SERVES,
    "runtime.schedule": _SERVES,
    "runtime.server": _SERVES,
    "runtime.settings": _SETTINGS,
    "runtime.spans": _SERVES,
    "runtime.status": _SERVES,
    "runtime.telemetry": _SERVES,
    "runtime.validation": _SERVES,
}
UNIT = ("tests/unit/inventory", "tests/unit/orders", "tests/unit/runtime")
# Tried on what the unit tests let through. They run on real stores or servers, in one process with the code.
COMPONENTS = (
    "tests/components/inventory/test_store.py",
    "tests/components/inventory/test_marker.py",
    "tests/components/inventory/test_present.py",
    "tests/components/inventory/test_relay.py",
    "tests/components/inventory/test_rebuild.py",
    "tests/components/inventory/test_orders_client.py",
    "tests/components/messaging/test_reader.py",
    "tests/components/messaging/test_dead_letters.py",
    "tests/components/orders/test_customer_store.py",
    "tests/components/orders/test_store.py",
    "tests/components/orders/test_outbox.py",
    "tests/components/orders/test_operations.py",
    "tests/components/orders/test_reconcile.py",
    "tests/components/orders/test_watch_stream.py",
    "tests/components/runtime/test_calls.py",
    "tests/components/runtime/test_hostile_calls.py",
)
SUPPORT = "tests/support"
# These run the scripts on a Redis of their own.
SCRIPT_TESTS = (
    "tests/components/inventory/test_store.py",
    "tests/components/inventory/test_relay.py",
    "tests/components/inventory/test_rebuild.py",
)
LUA_FOLDER = "inventory_svc/lua"
LUA_LOADER = "inventory_svc.scripts"
"""The module that reads the scripts; its `_files` lists them."""


def path_of(module: str) -> str:
    """Return a module's file, from the checkout."""
    return f"{module.replace('.', '/')}.py"


def all_modules(checkout: Path) -> Iterator[str]:
    """Yield every module of the packages, whatever the lists say."""
    for package in PACKAGES:
        for path in sorted((checkout / package.replace(".", "/")).glob("*.py")):
            if path.stem != "__init__":
                yield f"{package}.{path.stem}"
