"""Processing of order events, valid and invalid."""

import uuid

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from shop.orders.v1.events_pb2 import OrderEvent
from shop.orders.v1.order_pb2 import Order, OrderLine

from inventory_svc import consumers
from inventory_svc.events import OrderEvents, read, sort
from inventory_svc.refusals import (
    HoldGone,
    HoldReleased,
    HoldSettled,
    NoSuchGeneration,
    Rebuilding,
    Undecided,
    UnknownProduct,
)
from inventory_svc.stock import Hold, Line, Return, Sale, State
from inventory_svc.topics import DEAD_EVENTS
from runtime.errors import Internal, InvalidArgument, Unavailable
from runtime.messaging.message import Message
from runtime.messaging.wrappers import Rejected

ORDER = str(uuid.UUID(int=1))
OTHER = str(uuid.UUID(int=2))


def message(value, key=b"k", offset=0):
    return Message("order_events", 3, offset, key, value, {"traceparent": "00-1"}, 0)


def event(state, order=ORDER, generation=1, lines=("mug",), held_in=0, quantity=2):
    lines = [OrderLine(product=f"products/{name}", quantity=quantity) for name in lines]
    changed = OrderEvent(
        order=Order(name=f"orders/{order}", state=state, lines=lines, create_time=Timestamp(seconds=50)),
        stock_generation=generation,
        hold_generation=held_in,
        occur_time=Timestamp(seconds=60),
    )
    return message(changed.SerializeToString())


class Inventory:
    """Records its calls; *outcome* is the outcome of commits, *back* that of releases."""

    def __init__(self):
        self.sold, self.returned, self.calls = [], [], []
        self.outcome = lambda sale: Hold(sale.order, sale.lines, State.COMMITTED, 1)
        self.back = lambda back: Hold(back.order, (), State.RELEASED, 1)

    @property
    def released(self):
        return [back.order for back in self.returned]

    async def commit_all(self, sales):
        self.calls.append("commit")
        self.sold += sales
        return [self.outcome(sale) for sale in sales]

    async def release_all(self, returns):
        self.calls.append("release")
        self.returned += returns
        return [self.back(back) for back in returns]


class Publisher:
    def __init__(self):
        self.records = []
        self.down = False

    async def publish_each(self, records):
        if self.down:
            return [Unavailable("Kafka does not answer") for _ in records]
        self.records += records
        return [None for _ in records]


@pytest.fixture
def inventory():
    return Inventory()


@pytest.fixture
def publisher():
    return Publisher()


@pytest.fixture
def events(inventory, publisher):
    """Return the handler in its wrappers, as the service runs it, without retries."""
    return consumers.order_events(OrderEvents(inventory), publisher, patience_s=0)


async def test_confirmed_commits_and_cancelled_or_rejected_releases(events, inventory):
    cancelled, rejected = event(Order.CANCELLED, OTHER, 2, held_in=1), event(Order.REJECTED, OTHER, 0)
    await events([event(Order.CONFIRMED), cancelled, rejected])
    assert inventory.sold == [Sale(ORDER, (Line("mug", 2),), 1, 60_000)]
    assert inventory.returned == [
        Return(OTHER, (Line("mug", 2),), 2, 1, 60_000, 50_000),
        Return(OTHER, (Line("mug", 2),), 0, 0, 60_000, 50_000),
    ]


async def test_fulfilled_commits_first_if_confirmed_was_missed(events, inventory):
    """The event has no confirmation time; it was not before the creation."""
    await events([event(Order.FULFILLED)])
    assert inventory.sold == [Sale(ORDER, (Line("mug", 2),), 1, 50_000, handed_over=True)]
    assert inventory.calls == ["commit", "release"]


@pytest.mark.parametrize("seconds", [-(10**15), 10**15])
async def test_an_event_with_an_invalid_time_is_applied(events, inventory, publisher, seconds):
    changed = OrderEvent.FromString(event(Order.CONFIRMED).value)
    changed.occur_time.seconds = seconds
    await events([message(changed.SerializeToString())])
    assert [sale.order for sale in inventory.sold] == [ORDER]
    assert 0 <= inventory.sold[0].at_ms <= 2**53


async def test_pending_is_ignored(events, inventory, publisher):
    await events([event(Order.PENDING)])
    assert not inventory.sold + inventory.released + publisher.records


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (message(b"\xff\xff"), "not an OrderEvent"),
        (message(None), "not an order's name"),
        (
            message(OrderEvent(order=Order(name="orders/../x", state=Order.CONFIRMED)).SerializeToString()),
            "not an order's",
        ),
        (event(99), "order.state 99"),
        (event(Order.CONFIRMED, lines=()), "order.lines is empty"),
        (event(Order.CONFIRMED, lines=("mug", "mug")), "a product twice"),
        (event(Order.CANCELLED, generation=-1), "out of its range"),
        (event(Order.CONFIRMED, lines=[f"p{n}" for n in range(101)]), "out of its range"),
        (event(Order.CONFIRMED, quantity=0), "a quantity out of its range"),
        (event(Order.CONFIRMED, quantity=1_000_001), "a quantity out of its range"),
    ],
)
async def test_invalid_events_are_dead_lettered_and_the_next_is_processed(events, inventory, publisher, bad, problem):
    await events([bad, event(Order.CONFIRMED, OTHER)])
    (dead,) = publisher.records
    assert (dead.topic, dead.key, dead.value) == (DEAD_EVENTS.name, bad.key, bad.value)
    assert problem in dead.headers["error"]
    origin = [dead.headers[f"origin_{part}"] for part in ("topic", "partition", "offset")]
    assert origin == ["order_events", "3", "0"]
    assert dead.headers["traceparent"] == "00-1"
    assert [sale.order for sale in inventory.sold] == [OTHER]


@pytest.mark.parametrize(
    "good",
    [
        event(Order.CONFIRMED, quantity=1),
        event(Order.CONFIRMED, quantity=1_000_000),
        event(Order.CONFIRMED, lines=[f"p{n}" for n in range(100)]),
        event(Order.CONFIRMED, generation=0),
    ],
)
async def test_an_event_at_its_limits_is_applied(events, inventory, publisher, good):
    await events([good])
    assert [sale.order for sale in inventory.sold] == [ORDER]
    assert publisher.records == []


async def test_a_release_with_a_permanent_error_is_a_dead_letter(events, inventory, publisher):
    inventory.back = lambda back: Internal("a script failed") if back.order == ORDER else HoldGone(back.order)
    await events([event(Order.CANCELLED), event(Order.CANCELLED, OTHER)])
    assert [record.headers["error"] for record in publisher.records] == ["a script failed"]


async def test_a_release_with_a_transient_error_redelivers_the_batch(events, inventory):
    inventory.back = lambda back: Rebuilding()
    with pytest.raises(Rebuilding):
        await events([event(Order.CANCELLED)])


async def test_a_batch_whose_dead_letter_is_not_published_is_redelivered(events, publisher):
    publisher.down = True
    with pytest.raises(Unavailable):
        await events([message(b"\xff")])


@pytest.mark.parametrize("outcome", [HoldReleased(ORDER, "x"), HoldSettled(ORDER, "x"), HoldGone(ORDER)])
async def test_a_stale_event_of_an_order_is_ignored(events, inventory, publisher, outcome):
    inventory.outcome = lambda sale: outcome
    await events([event(Order.CONFIRMED)])
    assert publisher.records == []


async def test_an_unknown_product_is_a_dead_letter(events, inventory, publisher):
    inventory.outcome = lambda sale: UnknownProduct("mug")
    await events([event(Order.CONFIRMED)])
    assert "products/mug" in publisher.records[0].headers["error"]


async def test_an_event_of_a_generation_that_never_began_is_a_dead_letter(events, inventory, publisher):
    inventory.outcome = lambda sale: NoSuchGeneration(sale.order, "is of generation 9, which never began")
    await events([event(Order.CONFIRMED, generation=9)])
    assert "never began" in publisher.records[0].headers["error"]


async def test_a_permanently_failing_event_is_dead_lettered_alone(events, inventory, publisher):
    def fail_for_one(sale):
        if sale.order == ORDER:
            raise Internal("a script failed")
        return Hold(sale.order, sale.lines, State.COMMITTED, 1)

    inventory.outcome = fail_for_one
    await events([event(Order.CONFIRMED), event(Order.CONFIRMED, OTHER), event(Order.CANCELLED, OTHER)])
    assert [record.headers["error"] for record in publisher.records] == ["a script failed"]
    assert inventory.released == [OTHER]


async def test_a_rebuild_redelivers_the_batch(events, inventory):
    inventory.outcome = lambda sale: Rebuilding()
    with pytest.raises(Rebuilding):
        await events([event(Order.CONFIRMED), event(Order.CANCELLED, OTHER)])
    assert inventory.released == []


def test_a_batch_is_grouped_by_operation():
    batch = sort([event(Order.CONFIRMED), message(b"\xff"), event(Order.CANCELLED, OTHER)])
    assert [sale.order for _, sale in batch.sales] == [ORDER]
    assert [back.order for _, back in batch.returns] == [OTHER]
    assert len(batch.dead) == 1


def test_the_generation_is_passed_with_the_commit():
    assert read(event(Order.CONFIRMED, generation=7)).stock_generation == 7
    with pytest.raises(InvalidArgument):
        read(message(b""))


@pytest.mark.parametrize("state", [Order.CONFIRMED, Order.FULFILLED, Order.CANCELLED, Order.REJECTED])
async def test_an_erased_customer_moves_no_units(state):
    """Of an order from long ago inventory has forgotten the hold: it would be a dead letter."""
    erased = OrderEvent.FromString(event(state).value)
    erased.customer_erase_time.FromSeconds(70)
    inventory = Inventory()
    inventory.outcome = inventory.back = lambda _: Undecided(ORDER, "forgotten")
    await OrderEvents(inventory).handle([message(erased.SerializeToString())])
    assert (inventory.sold, inventory.returned) == ([], [])
    with pytest.raises(Rejected):
        await OrderEvents(inventory).handle([event(state)])
