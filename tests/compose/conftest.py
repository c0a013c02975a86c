"""The system as compose.yaml starts it, already running."""

from __future__ import annotations

import json
import os
import subprocess
import time

import httpx
import pytest

from shop_client import rest

# As compose.yaml publishes them.
EDGE = os.environ.get("EDGE") or f"http://127.0.0.1:{os.environ.get('PORT') or 8080}"
EDGE_HTTPS = os.environ.get("EDGE_HTTPS") or f"https://127.0.0.1:{os.environ.get('TLS_PORT') or 8443}"


def docker(*arguments: str, seconds: float = 60) -> str:
    """Run docker and return what it prints."""
    finished = subprocess.run(
        ["docker", *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def container(service: str) -> str:
    """The id of the container that runs a service of compose.yaml."""
    found = docker("ps", "-aq", "--filter", f"label=com.docker.compose.service={service}").split()
    assert len(found) == 1, f"{service} has {len(found)} containers"
    return found[0]


def topic(name: str) -> str:
    """Everything that a topic holds, as text."""
    consumer = ("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", "kafka:9092")
    more = ("--topic", name, "--from-beginning", "--timeout-ms", "8000")
    command = ("java", "-Xmx64m", "-cp", "/opt/kafka/libs/*", *consumer, *more)
    return docker("exec", container("kafka"), *command)


def token(*who: str) -> dict[str, str]:
    """The header of somebody whom the development issuer knows; `--operator` makes an operator."""
    issued = docker("exec", container("issuer"), "python", "-m", "gateway.issuer.token", *who)
    return rest.signed(issued.strip())


@pytest.fixture
def client():
    """A client of the edge, once it takes orders."""
    with httpx.Client(base_url=EDGE, timeout=15, headers=token("ana")) as client:
        wait(lambda: in_stock(client), seconds=120, what="products at the edge")
        yield client


def wait(done, *, seconds: float, what: str):
    """Call *done* until it returns something, and return that."""
    deadline, last_error = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            if found := done():
                return found
        except (httpx.HTTPError, KeyError, json.JSONDecodeError) as error:
            last_error = error
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds} s; {last_error!r}")


def in_stock(client: httpx.Client) -> str | None:
    return next(iter(rest.in_stock(client.get("/v1/products").json(), at_least=11)), None)
