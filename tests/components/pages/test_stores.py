"""Whether a store is up, by its answer to a request of its protocol."""

import asyncio
import contextlib
import struct

import pytest

from gateway.pages import stores
from gateway.pages.stores import probe


@contextlib.asynccontextmanager
async def answering(answer):
    """Serve one fixed response to every request, or none."""

    async def serve(reader, writer):
        request = await reader.read(4096)
        if answer is None:
            await asyncio.sleep(60)
        writer.write(answer(request) if callable(answer) else answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()


def kafka(request):
    return struct.pack(">iih", 6, struct.unpack(">i", request[8:12])[0], 0)


@pytest.mark.parametrize(
    ("name", "answer", "state"),
    [
        ("Redis", b"-NOAUTH Authentication required.\r\n", "up"),
        ("Redis", b"-LOADING Redis is loading the dataset in memory\r\n", "down"),
        ("Redis", b"", "down"),
        ("Kafka", kafka, "up"),
        ("Kafka", b"HTTP/1.1 400 Bad Request\r\n", "down"),
        ("etcd", b'HTTP/1.1 200 OK\r\n\r\n{"health":"true"}', "up"),
        ("etcd", b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"health":"false"}', "down"),
        ("Kafka", b"abc", "down"),
    ],
)
async def test_a_store_is_up_when_it_answers_its_protocol(name, answer, state):
    async with answering(answer) as address:
        assert (await probe(name, [address]))["state"] == state


async def test_a_store_that_accepts_and_never_answers_is_down(monkeypatch):
    monkeypatch.setattr(stores, "TIMEOUT_S", 0.1)
    async with answering(None) as address:
        store = await probe("Redis", [address])
    assert (store["state"], store["text"]) == ("down", "no response within 0.1 s")


async def test_a_store_that_refuses_connections_is_down():
    async with answering(b"") as address:
        pass
    assert (await probe("etcd", [address]))["state"] == "down"


@pytest.mark.parametrize(
    ("down", "state", "text"),
    [(0, "up", "all 3 answer"), (1, "degraded", "1 of 3 is down"), (2, "down", "2 of 3 are down")],
)
async def test_a_store_of_three_works_while_two_answer(down, state, text):
    async with answering(b"") as closed:
        pass
    async with answering(kafka) as address:
        store = await probe("Kafka", [closed] * down + [address] * (3 - down))
    assert (store["state"], store["text"][: len(text)]) == (state, text)
    assert [(each["name"], each["up"]) for each in store["members"]] == [(f"kafka-{n}", n >= down) for n in range(3)]
