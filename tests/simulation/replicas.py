"""One replica of each service: the real code, wired as its `wiring.py` and `schedule.py` do, on simulated stores."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from inventory_svc import audit
from inventory_svc import consumers as inventory_consumers
from inventory_svc.api import InventoryService
from inventory_svc.events import OrderEvents
from inventory_svc.generation import CurrentGeneration
from inventory_svc.holds import Inventory
from inventory_svc.leases import Leases
from inventory_svc.ledger import Ledger
from inventory_svc.ledger_follower import LedgerEntries
from inventory_svc.marker import StockMarker
from inventory_svc.orders_client import MeshOrders
from inventory_svc.rebuild import Rebuild
from inventory_svc.recovery import StockRecovery
from inventory_svc.relay import WAIT_MS
from inventory_svc.relay import Relay as StockRelay
from inventory_svc.scripts import Scripts
from inventory_svc.settings import DOMAIN as INVENTORY_DOMAIN
from inventory_svc.staging import Staging
from inventory_svc.store import Limits
from inventory_svc.store import Store as StockStore
from inventory_svc.topics import EVENTS_GROUP, LEDGER, LEDGER_GROUP, ORDER_EVENTS
from orders_svc import saga
from orders_svc.allocation_store import AllocationStore
from orders_svc.api import AllocationService
from orders_svc.archive import Archive
from orders_svc.breaker import Breaker
from orders_svc.checkout import Checkout
from orders_svc.consumers import pending_orders
from orders_svc.customer_store import CustomerStore
from orders_svc.inventory_client import MeshInventory, MeshStock
from orders_svc.operations_store import OperationsStore
from orders_svc.reconcile import Reconciler
from orders_svc.settings import DOMAIN as ORDERS_DOMAIN
from orders_svc.store import Store
from runtime.background import Work, keep_going
from runtime.clock import now_ms
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.consumer import consume
from runtime.messaging.relay import Relay
from runtime.notifier import Notifier
from runtime.schedule import every
from tests.simulation.kafka import Publisher
from tests.simulation.loop import Process
from tests.simulation.mesh import Channel
from tests.simulation.postgres import Pool
from tests.simulation.redis import Client

if TYPE_CHECKING:
    from tests.simulation.world import World

ORDERS, INVENTORY = "orders", "inventory"
HOLD_S = 1.5
DELAYS_S = (2.0, 5.0, 10.0)
GIVE_UP_S = 3600.0
LEASE_MS, GRACE_MS = 15_000, 6_000
RECONCILE_S, SETTLE_S = 20.0, 8.0
KEPT_S, ARCHIVE_S = 1.0, 0.5
POLL_S = 5.0
LIMITS = Limits(lease_ms=LEASE_MS, grace_ms=GRACE_MS, keep_ms=600_000_000, max_backlog=100_000, max_remembered=100_000)


class OrdersReplica:
    """A replica of orders; *checkout* is what customers call, and *customers* what operators erase."""

    def __init__(self, world: World, process: Process) -> None:
        channel: Any = Channel(world.mesh, INVENTORY, INVENTORY_DOMAIN)
        pool: Any = Pool(world.postgres, process)
        stub = InventoryServiceStub(channel)
        publisher = Publisher(world.kafka, process.name)
        notifier = Notifier(pool)
        orders, books, stock = Store(pool, notifier, replica=process.name), OperationsStore(pool), MeshStock(stub)
        inventory = MeshInventory(stub, Breaker(INVENTORY), timeout_s=HOLD_S)
        path = saga.stages(DELAYS_S)
        finisher = saga.Saga(orders, inventory, path, give_up_s=GIVE_UP_S)
        reconciler = Reconciler(books, stock, finisher.finish, settle_s=SETTLE_S)
        self.checkout = Checkout(orders, inventory, hold_timeout_s=HOLD_S)
        self.customers = CustomerStore(pool)
        self.allocations = AllocationService(AllocationStore(pool))
        self.work: dict[str, Work] = {
            "outbox relay": Relay(pool, publisher).run,
            "notifier": notifier.run,
            "reconcile": partial(every, RECONCILE_S, reconciler.run_alone),
            "archive": partial(every, ARCHIVE_S, partial(_archived, Archive(pool, KEPT_S / 86400, 3650))),
            **{f"saga {stage.topic}": _consumer(process, finisher, stage, publisher) for stage in path},
        }
        for name, work in self.work.items():
            process.start(keep_going(name, work), name=name)
        world.mesh.register(ORDERS, process, self)
        world.mesh.register("allocations", process, self.allocations)


async def _archived(archive: Archive) -> None:
    await archive.move(3)


def _consumer(process: Process, finisher: saga.Saga, stage: saga.Stage, publisher: Publisher) -> Work:
    return partial(
        consume,
        KafkaCluster("kafka"),
        group=saga.group_of(stage),
        topics=[stage.topic],
        handle=pending_orders(finisher, stage, publisher),
        client_id=process.name,
        poll_s=POLL_S,
    )


class InventoryReplica:
    """A replica of inventory; *inventory* is what operators call."""

    def __init__(self, world: World, process: Process) -> None:
        channel: Any = Channel(world.mesh, "allocations", ORDERS_DOMAIN)
        redis = Client(world.redis, process.name)
        waiting = Client(world.redis, process.name, timeout_s=WAIT_MS / 1000 + 2)
        publisher: Any = Publisher(world.kafka, process.name)
        current = CurrentGeneration()
        scripts = Scripts(redis, current)
        store = StockStore(scripts, current, LIMITS)
        ledger = Ledger(publisher, KafkaCluster("kafka"), now_ms=now_ms)
        orders = MeshOrders(channel)
        self.inventory = Inventory(store, ledger, orders, current)
        rebuild = Rebuild(partial(Staging, redis, scripts), ledger, orders)
        servicer = InventoryService(self.inventory, store, page_key=b"simulation")
        recovery = StockRecovery(
            StockMarker(redis),
            current,
            rebuild,
            ledger,
            orders,
            on_ready=_routed(world, process, servicer),
            every_s=1.0,
        )
        events = inventory_consumers.order_events(OrderEvents(self.inventory), publisher)
        entries = inventory_consumers.ledger_entries(LedgerEntries(store), publisher)
        joined = partial(consume, KafkaCluster("kafka"), client_id=process.name, poll_s=POLL_S)
        self.work: dict[str, Work] = {
            "recovery": recovery.run,
            "leases": Leases(store, orders, current, every_s=1.0).run,
            "relay": StockRelay(waiting, publisher).run,
            "audit": partial(audit.audit_regularly, store, every_s=15.0),
            "order events": partial(joined, group=EVENTS_GROUP, topics=[ORDER_EVENTS], handle=events),
            "ledger": partial(joined, group=LEDGER_GROUP, topics=[LEDGER.name], handle=entries),
        }
        for name, work in self.work.items():
            process.start(keep_going(name, work), name=name)
        world.mesh.register("restock", process, self)


def _routed(world: World, process: Process, servicer: InventoryService) -> Callable[[bool], Any]:
    """
    Return what has the mesh send calls to *servicer* while it is ready.
    """

    async def ready(is_ready: bool) -> None:
        if is_ready:
            world.mesh.register(INVENTORY, process, servicer)
        else:
            world.mesh.withdraw(INVENTORY, process)

    return ready


REPLICAS: dict[str, Callable[[World, Process], Any]] = {ORDERS: OrdersReplica, INVENTORY: InventoryReplica}
