"""Each action of the lab that is not a command of the stack: its effect is observed, and its end."""

import asyncio
import os
import subprocess
import sys

import asyncpg
import psutil
import pytest

from chaos.lab import act
from shop_client.rest import basket, in_stock, place
from stack.describe import describe
from stack.run.supervisor import Supervisor
from tests.integration.conftest import CHECKOUT, RECOVERY_LIMIT_S, eventually


@pytest.fixture
def plan(stack):
    return describe(stack.settings)


def test_a_part_is_frozen_with_all_its_processes_and_thawed(stack):
    def states():
        pid = Supervisor(stack.settings).info()["postgres-1"]["pid"]
        patroni = psutil.Process(pid)
        return {each.status() == psutil.STATUS_STOPPED for each in (patroni, *patroni.children(recursive=True))}

    act.pause(stack.settings, "postgres-1")
    try:
        assert states() == {True}
    finally:
        act.resume(stack.settings, "postgres-1")
    assert states() == {False}


async def test_a_locked_table_blocks_readers_until_it_is_unlocked(stack, plan):
    async def read():
        connection = await asyncpg.connect(plan.database_url)
        try:
            await connection.execute("SET lock_timeout = '200ms'")
            await connection.fetch("SELECT 1 FROM sold_units LIMIT 1")
        finally:
            await connection.close()

    words = [sys.executable, "-m", "chaos.lab.act", "lock-table", "sold_units", "60"]
    environment = {**os.environ, **stack.settings.environment()}
    holder = await asyncio.create_subprocess_exec(
        *words, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert b"in force" in await asyncio.wait_for(holder.stdout.readline(), 20)
    with pytest.raises(asyncpg.LockNotAvailableError):
        await read()
    await asyncio.to_thread(act.unlock_table, stack.settings)
    await asyncio.to_thread(act.unlock_table, stack.settings)
    await read()
    await asyncio.wait_for(holder.communicate(), 20)
    assert holder.returncode == 1


async def test_an_emptied_redis_is_rebuilt_with_the_same_stock(stack, edge):
    async def available():
        answer = await edge.get("/v1/products")
        if answer.status_code != 200:
            return {}
        return {each["name"]: each["stock"]["available"] for each in answer.json()["products"]}

    before = await available()
    await asyncio.to_thread(act.empty_redis, stack.settings)
    await eventually(lambda: is_same(available, before), within_s=RECOVERY_LIMIT_S)
    assert (await place(edge, basket(in_stock((await edge.get("/v1/products")).json())[0]))).status_code == 201


async def is_same(available, before):
    return await available() == before
