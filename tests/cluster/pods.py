"""Actions on pods, and reading their state."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from typing import Any

from k8s.kubectl import ClusterError, get
from k8s.pods import ask, ending, kill, members, of, ready, run_in

__all__ = [
    "all_ready",
    "ask",
    "coordinator",
    "copies",
    "kafka_tool",
    "kill",
    "member",
    "members",
    "move_leaders_back",
    "of",
    "restarts",
    "run_in",
    "stock_generation",
    "topic",
    "uids",
    "until",
]


def uids(app: str) -> set[str]:
    return {each["metadata"]["uid"] for each in get("pods", "-l", f"app={app}")}


def all_ready(app: str, count: int) -> bool:
    """Return whether an application has at least *count* pods and every one is ready."""
    pods = [each for each in get("pods", "-l", f"app={app}") if not ending(each)]
    return len(pods) >= count and all(ready(each) for each in pods)


async def until(done: Any, *, within_s: float, what: str) -> float:
    """Wait until *done()* is true and return the seconds that it took."""
    started = time.monotonic()
    while not await asyncio.to_thread(done):
        if time.monotonic() - started > within_s:
            raise AssertionError(f"{what}: not within {within_s} s")
        await asyncio.sleep(0.5)
    return time.monotonic() - started


def member(role: str) -> str:
    """Return the name of the member with this role: `leader`, `sync_standby` or `replica`."""
    found = [each["name"] for each in members() if each["role"] == role]
    if not found:
        raise AssertionError(f"no member of PostgreSQL is a {role}: {members()}")
    return str(found[0])


def copies() -> int:
    """Return how many members besides the leader follow it."""
    return sum(each["role"] != "leader" and each["state"] == "streaming" for each in members())


def stock_generation() -> int:
    """Return the stock generation of every inventory pod; the newest if they differ."""
    read = (ask(pod, "http://127.0.0.1:9464/metrics") for pod in of("inventory"))
    return max(
        int(float(number)) for text in read for number in re.findall(r"^inventory_generation (\S+)", text, re.MULTILINE)
    )


APPS = ("orders", "inventory", "pages", "edge", "postgres", "kafka", "redis")


def restarts() -> dict[tuple[str, str], int]:
    """Return how often each container of each pod, named by both and the pod's id, was restarted in place."""
    counts = {}
    for pod in get("pods", "-l", f"app in ({','.join(APPS)})"):
        of_pod = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
        for each in of_pod:
            counts[pod["metadata"]["uid"], f"{pod['metadata']['name']}/{each['name']}"] = each["restartCount"]
    return counts


def kafka_tool(name: str, *arguments: str) -> str:
    """Return the output of one of Kafka's own tools, run in a broker's pod."""
    java = ("java", "-Xmx64m", "-cp", "/opt/kafka/libs/*", f"org.apache.kafka.tools.{name}")
    return run_in(of("kafka")[0], *java, "--bootstrap-server", "localhost:9092", *arguments)


def topic(name: str) -> str:
    """Return all records of a topic as text, with undecodable bytes replaced."""
    reading = ("--topic", name, "--from-beginning", "--timeout-ms", "8000")
    return kafka_tool("consumer.ConsoleConsumer", *reading)


def coordinator() -> tuple[str, bool]:
    """
    Return the pod that Kafka prefers to coordinate the groups of the first partition of the offsets topic, and whether
    it does.
    """
    described = kafka_tool("TopicCommand", "--describe", "--topic", "__consumer_offsets")
    [(leader, preferred)] = re.findall(r"Partition: 0\s+Leader: (\w+)\s+Replicas: (\d+)", described)
    return f"kafka-{int(preferred) - 1}", leader == preferred


def move_leaders_back() -> None:
    """Trigger the leader rebalance that Kafka does every five minutes; brokers that are not ready yet are left out."""
    with suppress(ClusterError):
        kafka_tool("LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")
