"""Reading the final state after an experiment, while a store may be down."""

from collections import Counter

import asyncpg
import grpc
import pytest

from chaos import truth


class Away(grpc.aio.AioRpcError):
    def __init__(self, code):
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "no host left")


def reading(*answers):
    left = list(answers)

    @truth.patiently("the stock")
    async def read():
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return read


async def test_a_store_that_returns_is_read():
    assert await reading(ConnectionRefusedError(), Away(grpc.StatusCode.UNAVAILABLE), 7)() == 7


async def test_a_store_that_stays_down_ends_with_one_sentence(monkeypatch):
    monkeypatch.setattr(truth, "AWAY_LIMIT_S", 0.05)
    with pytest.raises(truth.NotRead, match=r"the stock was not read within 0.05 s: UNAVAILABLE: no host left"):
        await reading(Away(grpc.StatusCode.UNAVAILABLE))()


async def test_permanent_errors_are_raised_at_once():
    with pytest.raises(Away):
        await reading(Away(grpc.StatusCode.PERMISSION_DENIED), 7)()


NO_LEADER = asyncpg.TargetServerAttributeNotMatched("None of the hosts match the target attribute requirement")


@pytest.mark.parametrize("error", [NO_LEADER, asyncpg.CannotConnectNowError("starting up"), ConnectionResetError()])
@pytest.mark.parametrize("read", [truth.orders_in, truth.orders_and_counts, lambda url: truth.settled(url, within_s=0)])
async def test_every_read_of_postgresql_waits_for_it_within_a_limit(monkeypatch, read, error):
    async def connect(url, *, timeout):  # noqa: ASYNC109 - asyncpg's own name
        raise error

    monkeypatch.setattr(truth.asyncpg, "connect", connect)
    monkeypatch.setattr(truth, "AWAY_LIMIT_S", 0.01)
    with pytest.raises(truth.NotRead, match="PostgreSQL was not read"):
        await read("postgresql://nowhere")


async def test_the_stock_is_read_until_cancelled_units_are_released(monkeypatch):
    reads = [truth.StockNow(10, 7, 0, 3), truth.StockNow(10, 7, 1, 2), truth.StockNow(10, 8, 0, 2)]

    async def stock_at(_address, _metadata):
        return {"products/tea": reads.pop(0)}

    async def at_once(_seconds):
        return None

    monkeypatch.setattr(truth, "stock_at", stock_at)
    monkeypatch.setattr(truth.asyncio, "sleep", at_once)
    found = await truth.stock_settled("edge", taken={"products/tea": 2}, within_s=60)
    assert found["products/tea"].sold == 2
    assert reads == []


async def test_stock_that_does_not_settle_is_returned_as_it_is(monkeypatch):
    async def stock_at(_address, _metadata):
        return {"products/tea": truth.StockNow(10, 7, 0, 3)}

    monkeypatch.setattr(truth, "stock_at", stock_at)
    found = await truth.stock_settled("edge", taken={}, within_s=0)
    assert found["products/tea"].sold == 3


async def test_orders_of_others_between_two_reads_are_read_again(monkeypatch):
    """A prober's order that was stored after the first read is sold stock that no order of that read owns."""
    order = truth.StoredOrder("orders/1", "CONFIRMED", 2, {"products/tea": 2})
    stored = [({}, Counter()), ({"orders/1": order}, Counter({"products/tea": 2}))]

    async def orders_and_counts(_url):
        return stored.pop(0) if len(stored) > 1 else stored[0]

    async def stock_at(_address, _metadata=()):
        return {"products/tea": truth.StockNow(9, 7, 0, 2)}

    monkeypatch.setattr(truth, "orders_and_counts", orders_and_counts)
    monkeypatch.setattr(truth, "stock_at", stock_at)
    orders, counted, stock = await truth.stored_and_stock("url", "edge", within_s=60, look_again_s=0)
    assert (list(orders), counted["products/tea"], stock["products/tea"].sold) == (["orders/1"], 2, 2)


async def test_orders_and_stock_that_never_agree_are_returned_as_they_are(monkeypatch):
    async def orders_and_counts(_url):
        return {}, Counter()

    async def stock_at(_address, _metadata=()):
        return {"products/tea": truth.StockNow(9, 7, 0, 2)}

    monkeypatch.setattr(truth, "orders_and_counts", orders_and_counts)
    monkeypatch.setattr(truth, "stock_at", stock_at)
    _, _, stock = await truth.stored_and_stock("url", "edge", within_s=0)
    assert stock["products/tea"].sold == 2
