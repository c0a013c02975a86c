"""Every kind of client of Kafka over TLS, with SCRAM and with tokens."""

import asyncio
import contextlib
import os
from unittest import mock

import pytest

from runtime.errors import Unavailable
from runtime.messaging.consumer import consume
from runtime.messaging.group_lag import GroupLags
from runtime.messaging.message import Record
from runtime.messaging.publisher import Publisher
from runtime.messaging.reader import read_to_end
from runtime.messaging.topics import Topic, ensure_topics
from runtime.settings import KafkaSettings
from tests.components.secured.conftest import PASSWORD
from tests.components.secured.stores import SESSION_MS, Tokens
from tests.support.authority import Authority
from tests.support.waiting import eventually


def cluster(environment):
    with mock.patch.dict(os.environ, environment):
        return KafkaSettings().kafka


@contextlib.asynccontextmanager
async def consuming(kafka, topic):
    """Consume *topic* while the block runs; it gets the values so far."""
    values = []

    async def handle(messages):
        values.extend(each.value for each in messages)

    task = asyncio.create_task(consume(kafka, group="inventory", topics=[topic], handle=handle, client_id="test"))
    try:
        yield values
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def arrived(value, values):
    async def probe():
        return value in values

    assert await eventually(probe, within_s=20, every_s=0.1), value


async def test_every_kind_of_client_works_with_a_password(scram):
    orders, inventory = cluster(scram("orders")), cluster(scram("inventory"))
    await asyncio.to_thread(ensure_topics, orders, [Topic("order_events")])
    async with consuming(inventory, "order_events") as values, Publisher(orders, client_id="test") as publisher:
        await publisher.publish([Record("order_events", b"k", b"by password")])
        await arrived(b"by password", values)
    assert b"by password" in [each.value for each in await read_to_end(orders, "order_events")]
    assert await GroupLags(orders).of({"order_events": "inventory"}) == {"order_events": 0}


async def test_tokens_work_in_place_of_a_password(kafka, authority, tokens, scram, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(Tokens.CLIENT_SECRET)
    await asyncio.to_thread(ensure_topics, cluster(scram("orders")), [Topic("order_events")])
    orders = cluster(
        {
            "KAFKA_BROKERS": kafka.brokers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_CA_FILE": str(authority.ca),
            "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "KAFKA_OAUTH_TOKEN_URL": tokens.url,
            "KAFKA_OAUTH_CLIENT_ID": "orders",
            "KAFKA_OAUTH_CLIENT_SECRET_FILE": str(secret),
            "KAFKA_OAUTH_SCOPE": "kafka",
        }
    )
    async with Publisher(orders, client_id="test") as publisher:
        await publisher.publish([Record("order_events", b"k", b"by token")])
    assert b"by token" in [each.value for each in await read_to_end(orders, "order_events")]
    assert tokens.given


@pytest.mark.parametrize(
    ("user", "topic"),
    [("inventory", "order_events"), ("orders", "stock_ledger"), ("orders", "stock_events"), ("inventory", "other")],
)
async def test_a_service_writes_no_topic_of_another(scram, user, topic):
    owners = {"order_events": "orders", "stock_ledger": "inventory", "stock_events": "inventory"}
    if topic in owners:
        await asyncio.to_thread(ensure_topics, cluster(scram(owners[topic])), [Topic(topic)])
    async with Publisher(cluster(scram(user)), client_id="test", timeout_s=5) as publisher:
        with pytest.raises(Unavailable) as caught:
            await publisher.publish([Record(topic, b"k", b"forged")])
    assert caught.value.metadata["error"] == "TOPIC_AUTHORIZATION_FAILED"


async def test_a_wrong_password_is_refused(scram, password_file):
    password_file.write_text("guessed")
    with pytest.raises(Unavailable):
        await read_to_end(cluster(scram("orders")), "order_events", within_s=3)


async def test_brokers_of_another_authority_are_refused(scram, tmp_path):
    other = Authority(tmp_path, "other")
    with pytest.raises(Unavailable):
        await read_to_end(cluster(scram("orders", KAFKA_CA_FILE=str(other.ca))), "order_events", within_s=3)


async def test_a_changed_password_is_used_while_clients_run(kafka, scram, password_file):
    """The new one is written to the file first; sessions with the old one end while nobody is restarted."""
    orders, inventory = cluster(scram("orders")), cluster(scram("inventory"))
    await asyncio.to_thread(ensure_topics, orders, [Topic("order_events")])
    try:
        async with consuming(inventory, "order_events") as values, Publisher(orders, client_id="test") as publisher:
            await publisher.publish([Record("order_events", b"k", b"before")])
            await arrived(b"before", values)
            password_file.write_text(f"the-next-one\n{PASSWORD}\n")
            for user in ("orders", "inventory"):
                await asyncio.to_thread(kafka.set_password, user, "the-next-one")
            for number in range(8):
                value = f"after {number}".encode()
                await publisher.publish([Record("order_events", b"k", value)])
                await asyncio.sleep(SESSION_MS / 4000)
            await arrived(b"after 7", values)
    finally:
        for user in ("orders", "inventory"):
            await asyncio.to_thread(kafka.set_password, user, PASSWORD)
