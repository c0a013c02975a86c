"""Creates the Kafka topics, and lists the example shop's products once."""

from __future__ import annotations

from inventory_svc import catalogue
from inventory_svc.ledger import Ledger
from inventory_svc.settings import Settings
from inventory_svc.stock import Receipt
from inventory_svc.topics import DEAD_EVENTS, LEDGER, STOCK_EVENTS
from runtime.clock import now_ms
from runtime.messaging.publisher import Publisher
from runtime.messaging.topics import ensure_topics
from runtime.server import run

PUBLISH_S = 30


def migrate(settings: Settings) -> None:
    """
    Create the topics, and list the example shop's products if configured; repeating it changes nothing.
    """
    ensure_topics(settings.kafka_brokers, [LEDGER, STOCK_EVENTS, DEAD_EVENTS])
    if settings.seed_catalogue:
        run(lambda: seed(settings))


async def seed(settings: Settings) -> None:
    """
    List the example shop's products and their first stock, unless they are in the ledger.
    """
    async with Publisher(settings.kafka_brokers, client_id=settings.pod_name, timeout_s=PUBLISH_S) as publisher:
        ledger = Ledger(publisher, settings.kafka_brokers, now_ms=now_ms)
        written = await ledger.read()
        received = {entry.request for entry in written if isinstance(entry, Receipt)}
        listed = {entry[0].product for entry in written if not isinstance(entry, Receipt)}
        missing = [each for each in catalogue.LISTINGS if each.product not in listed]
        await ledger.record_listings(missing, catalogue.LISTED_MS)
        await ledger.record_receipts(each for each in catalogue.RECEIPTS if each.request not in received)
