"""What `make hostile` measures of a stack, and its table of attacks."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from chaos.hostile import observer
from chaos.hostile.observer import MIB, Observer
from chaos.hostile.rows import ROWS, chosen

TAKEN, FREE = 200 * MIB, 150 * MIB
ENVOY = SimpleNamespace(name="edge-0", command=["/opt/envoy"], listens=[SimpleNamespace(address="127.0.0.1", port=1)])
SERVICE = SimpleNamespace(name="orders-0", command=["python"], listens=[])


@pytest.fixture
def watching(monkeypatch):
    """Return the observer of an Envoy whose allocator keeps most of its memory free, and of a service."""

    async def get(_, path):
        return json.dumps({"pageheap_free": str(FREE)}) if path == "/memory" else ""

    monkeypatch.setattr(observer.admin, "get", get)
    monkeypatch.setattr(observer, "memory_of", lambda *_: TAKEN)
    monkeypatch.setattr(observer.restarts, "load", lambda _: {})
    monkeypatch.setattr(observer.supervisor, "restarts_file", lambda _: None)
    info = {each.name: {"pid": 1} for each in (ENVOY, SERVICE)}
    monkeypatch.setattr(observer, "Supervisor", lambda _: SimpleNamespace(info=lambda: info))
    return Observer(None, [ENVOY, SERVICE])


async def test_the_peak_is_measured_like_what_it_is_compared_with(watching):
    stop = asyncio.Event()
    peak = asyncio.create_task(watching.highest(stop))
    await asyncio.sleep(0.1)
    stop.set()
    assert await peak == (await watching.look()).memory == {"edge-0": TAKEN - FREE, "orders-0": TAKEN}


def test_every_row_has_a_name_of_its_own():
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_rows_are_chosen_by_name_or_prefix():
    assert [row.name for row in chosen("rest-json")] == ["rest-json"]
    assert {row.name.split("-")[0] for row in chosen("slow,http2")} == {"slow", "http2"}
    assert len(chosen("")) == len(ROWS)
    with pytest.raises(LookupError, match="nothing"):
        chosen("nothing")
