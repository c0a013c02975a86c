"""`orders_svc restored`, on a real PostgreSQL and Kafka: what a restore brings back of erased customers goes again."""

import asyncio
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import confluent_kafka
from shop.orders.v1 import operations_service_pb2, operations_service_pb2_grpc, order_service_pb2

from orders_svc.topics import DEAD_EVENTS
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import messages_to_end, topic_ends, topic_starts_at
from runtime.messaging.topics import dead_letter_topic, ensure_topics
from tests.components.orders.test_service import ANN, OPERATOR, create
from tests.support.processes import CHECKOUT

BOB = (("x-customer-id", "bob"),)
TABLES = ("orders", "order_changes", "idempotency_keys")


def restored(environment, *, to, at):
    command = [sys.executable, "-m", "orders_svc", "restored", f"--to={to}", f"--at={at}"]
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=CHECKOUT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


async def erased(replica, name):
    request = operations_service_pb2.EraseCustomerRequest(name=name)
    stub = operations_service_pb2_grpc.OperationsServiceStub(replica.channel)
    return await stub.EraseCustomer(request, metadata=OPERATOR)


async def test_who_was_erased_after_the_moment_of_a_restore_is_erased_again(replicas, environment, pool, kafka, topic):
    await asyncio.to_thread(ensure_topics, KafkaCluster(kafka), [dead_letter_topic(DEAD_EVENTS, partitions=1)])
    (replica,) = await replicas()
    for key, who in (("a", ANN), ("b", BOB)):
        order = await replica.orders.CreateOrder(create(key=key), metadata=who)
        await replica.orders.CancelOrder(order_service_pb2.CancelOrderRequest(name=order.name), metadata=who)
    before = {table: await pool.fetch(f"SELECT * FROM {table}") for table in TABLES}
    to = time.time()
    assert (await erased(replica, "customers/ann")).done
    await asyncio.to_thread(topic, "order_events", at_least=5)
    await replica.stop()
    # As a restore does: the rows are what they were.
    for row in before["orders"]:
        await pool.execute("UPDATE orders SET customer = $2 WHERE order_id = $1", row["order_id"], row["customer"])
    for row in before["order_changes"]:
        await pool.execute(
            "UPDATE order_changes SET snapshot = $3 WHERE order_id = $1 AND version = $2",
            *(row["order_id"], row["version"], row["snapshot"]),
        )
    (key,) = (row for row in before["idempotency_keys"] if row["customer"] == "ann")
    await pool.execute(
        "INSERT INTO idempotency_keys (customer, request_id, fingerprint, order_id, version, create_time) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        *(key[name] for name in ("customer", "request_id", "fingerprint", "order_id", "version", "create_time")),
    )
    told = await asyncio.to_thread(restored, environment, to=to, at=time.time())
    assert told.endswith("1 customers erased again"), told
    assert {row["customer"] for row in await pool.fetch("SELECT customer FROM orders")} == {" erased", "bob"}
    assert [row["customer"] for row in await pool.fetch("SELECT customer FROM idempotency_keys")] == ["bob"]
    snapshots = b"".join(row["snapshot"] for row in await pool.fetch("SELECT snapshot FROM order_changes"))
    assert b"customers/ann" not in snapshots
    assert b"customers/bob" in snapshots


async def test_a_topic_is_read_from_a_time_on(environment, kafka):
    cluster = KafkaCluster(kafka)
    begin = datetime.now(UTC).replace(microsecond=0)
    at = [begin + timedelta(seconds=number) for number in range(4)]
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka, "log_level": 0})
    for number, moment in enumerate(at[:3], 1):
        written = int(moment.timestamp() * 1000)
        producer.produce("order_events", key=b"%d" % number, value=b"%d" % number, timestamp=written)
    producer.flush(10)
    ends = await asyncio.to_thread(topic_ends, cluster, "order_events")
    for moment, expected in ((at[0], [b"1", b"2", b"3"]), (at[1], [b"2", b"3"]), (at[3], [])):
        starts = await asyncio.to_thread(topic_starts_at, cluster, "order_events", moment)
        found = await asyncio.to_thread(lambda s: list(messages_to_end(cluster, "order_events", starts=s)), starts)
        assert sorted(each.value for each in found) == expected
        assert starts.keys() == ends.keys()
