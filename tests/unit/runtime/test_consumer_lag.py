"""Consumer lag metrics."""

import json

from prometheus_client import REGISTRY

from runtime.messaging.consumer_lag import reporter


def statistics(*, moved: str = "", **lags: int) -> str:
    """Return librdkafka's statistics: the lag of each partition of one topic, one of which has *moved*."""
    partitions = {
        partition.removeprefix("p"): {"consumer_lag": lag, "desired": partition != moved}
        for partition, lag in lags.items()
    }
    return json.dumps({"type": "consumer", "topics": {"pending_orders": {"partitions": partitions}}})


async def test_the_number_of_reachable_brokers_is_exported() -> None:
    def brokers(*states: str) -> str:
        return json.dumps({"brokers": {str(number): {"state": state} for number, state in enumerate(states)}})

    report = reporter("brokers")
    await report(brokers("UP", "INIT"))
    assert REGISTRY.get_sample_value("kafka_brokers_up", {"group": "brokers"}) == 1
    await report(brokers("TRY_CONNECT", "INIT"))
    assert REGISTRY.get_sample_value("kafka_brokers_up", {"group": "brokers"}) == 0


def shown(group: str, partition: str) -> float | None:
    labels = {"group": group, "topic": "pending_orders", "partition": partition}
    return REGISTRY.get_sample_value("kafka_consumer_lag", labels)


async def test_the_lag_of_each_partition_is_exported() -> None:
    await reporter("each")(statistics(p0=3, p1=0))
    assert (shown("each", "0"), shown("each", "1")) == (3, 0)


async def test_a_revoked_partition_is_no_longer_exported() -> None:
    report = reporter("moved")
    await report(statistics(p0=3, p1=5))
    await report(statistics(p0=3, p1=5, moved="p1"))
    assert shown("moved", "1") is None
    assert shown("moved", "0") == 3


async def test_an_unknown_lag_is_not_exported() -> None:
    await reporter("unknown")(statistics(p0=-1))
    assert shown("unknown", "0") is None
