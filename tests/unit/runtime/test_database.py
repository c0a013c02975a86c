"""A connection pool without a primary, on a fake of asyncpg's pool."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from orders_svc import store
from runtime import database
from runtime.errors import Unavailable


class Pool:
    """Rejects so often, then returns its one connection."""

    def __init__(self, *refusals):
        self.refusals = list(refusals)
        self.out = 0

    async def acquire(self, *, timeout):  # noqa: ASYNC109 - as asyncpg calls it
        assert timeout > 0
        await asyncio.sleep(0)
        if self.refusals:
            raise self.refusals.pop(0)
        self.out += 1
        return "connection"

    async def release(self, connection):
        assert connection == "connection"
        self.out -= 1


NO_PRIMARY = asyncpg.exceptions.TargetServerAttributeNotMatched("none of the hosts leads")


@pytest.mark.parametrize("refusal", [NO_PRIMARY, ConnectionRefusedError(), asyncpg.TooManyConnectionsError("full")])
async def test_a_missing_primary_is_waited_for(refusal):
    pool = Pool(refusal, refusal)
    async with database.acquired(pool, wait_s=1) as connection:
        assert (connection, pool.out) == ("connection", 1)
    assert pool.out == 0


async def test_the_wait_is_bounded():
    pool = Pool(*[NO_PRIMARY] * 1000)
    with pytest.raises(asyncpg.exceptions.TargetServerAttributeNotMatched):
        async with database.acquired(pool, wait_s=0.05):
            pass
    assert len(pool.refusals) > 900


async def test_a_wrong_password_is_not_waited_for():
    pool = Pool(asyncpg.InvalidPasswordError("no"), NO_PRIMARY)
    with pytest.raises(asyncpg.InvalidPasswordError):
        async with database.acquired(pool, wait_s=1):
            pass
    assert len(pool.refusals) == 1


async def test_a_connection_is_released_also_when_its_work_fails():
    pool = Pool()
    with pytest.raises(ValueError, match="work"):
        async with database.acquired(pool, wait_s=1):
            raise ValueError("work")
    assert pool.out == 0


class Work:
    """Fails so often with `Unavailable`, each time after so long."""

    def __init__(self, failures, *, after_s=0.0):
        self.failures, self.after_s, self.calls = failures, after_s, 0

    async def __call__(self):
        self.calls += 1
        await asyncio.sleep(self.after_s)
        if self.calls <= self.failures:
            raise Unavailable("the session was lost", reason="DATABASE_UNAVAILABLE")
        return "done"


async def test_work_with_a_lost_session_is_retried_once():
    assert await store._again(work := Work(1)) == "done"
    assert work.calls == 2


async def test_retries_are_bounded():
    with pytest.raises(Unavailable):
        await store._again(work := Work(5))
    assert work.calls == 2


async def test_work_that_used_up_its_time_is_not_retried(monkeypatch):
    monkeypatch.setattr(store, "LOST_WITHIN_S", 0.01)
    with pytest.raises(Unavailable):
        await store._again(work := Work(1, after_s=0.02))
    assert work.calls == 1
