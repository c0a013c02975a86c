"""Creates the Kafka topics, and lists the example shop's products once."""

from __future__ import annotations

from collections.abc import Sequence

from inventory_svc import catalogue
from inventory_svc.connection import connect
from inventory_svc.history import WholeHistory, read_anyhow
from inventory_svc.ledger import Ledger
from inventory_svc.present import PresentStock
from inventory_svc.settings import Settings
from inventory_svc.stock import Entry, Receipt
from inventory_svc.topics import DEAD_EVENTS, LEDGER, STOCK_EVENTS
from runtime.clock import now_ms
from runtime.messaging.publisher import Publisher
from runtime.messaging.topics import ensure_topics
from runtime.server import run
from runtime.settings import secret

PUBLISH_S = 30


def migrate(settings: Settings) -> None:
    """
    Create the topics, and list the example shop's products if configured; repeating it changes nothing.

    What Kafka lost of the ledger is written again from the present stock before that.
    """
    ensure_topics(settings.kafka, [LEDGER, STOCK_EVENTS, DEAD_EVENTS])
    run(lambda: fill(settings))


async def fill(settings: Settings) -> None:
    """
    Make the ledger whole, and list the example shop's products and their first stock unless it has them.
    """
    password = secret(settings.redis_password_file, "redis")
    connect_timeout_s, timeout_s = settings.redis_connect_timeout_s, settings.redis_timeout_s
    async with (
        Publisher(settings.kafka, client_id=settings.pod_name, timeout_s=PUBLISH_S) as publisher,
        connect(
            settings.redis_url, password=password, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s
        ) as redis,
    ):
        ledger = Ledger(publisher, settings.kafka, now_ms=now_ms)
        written = await read_anyhow(WholeHistory(ledger, PresentStock(redis)), ledger)
        if settings.seed_catalogue:
            await seed(ledger, written)


async def seed(ledger: Ledger, written: Sequence[Entry]) -> None:
    """
    List the example shop's products and their first stock, unless they are *written*.
    """
    received = {entry.request for entry in written if isinstance(entry, Receipt)}
    listed = {entry[0].product for entry in written if not isinstance(entry, Receipt)}
    missing = [each for each in catalogue.LISTINGS if each.product not in listed]
    await ledger.record_listings(missing, catalogue.LISTED_MS)
    await ledger.record_receipts(each for each in catalogue.RECEIPTS if each.request not in received)
