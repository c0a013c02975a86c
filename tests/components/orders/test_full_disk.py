"""Orders on a real PostgreSQL whose disk is full."""

import asyncio
import os
import shutil
import subprocess

import grpc
import pytest
from shop.orders.v1 import order_service_pb2

from tests.components.conftest import execute
from tests.components.orders.test_service import ANN, create
from tests.support.waiting import passes

DISK = "12m"
MAX_ORDERS = 20_000
AT_A_TIME = 32
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, which only root may")


@pytest.fixture
def disk(postgres):
    """Mount a disk of 12 MiB that belongs to PostgreSQL."""
    folder = postgres.folder / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    shutil.chown(folder, "postgres")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture
async def database_url(postgres, disk):
    """Return the address of a database with the tables of orders on that disk; the log of writes is elsewhere."""
    (disk / "data").mkdir()
    shutil.chown(disk / "data", "postgres")
    await execute(postgres, f"CREATE TABLESPACE small LOCATION '{disk / 'data'}'")
    await execute(postgres, "CREATE DATABASE orders_small TEMPLATE template_orders TABLESPACE small")
    yield postgres.url("orders_small")
    await execute(postgres, "DROP DATABASE orders_small WITH (FORCE)")
    await execute(postgres, "DROP TABLESPACE small")


def fill(file):
    """Write to *file* for as long as there is room."""
    with file.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1024 * 1024))


async def test_a_full_disk_refuses_for_now_and_loses_nothing(replicas, disk):
    (replica,) = await replicas()
    filler = disk / "filler"

    async def place(number):
        try:
            return await replica.orders.CreateOrder(create(key=f"key-{number}"), metadata=ANN, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code()

    first = await place(0)
    with pytest.raises(OSError, match="No space left"):
        fill(filler)
    # There is room in the pages that exist already.
    placed, refused = {0: first}, {}
    for at in range(1, MAX_ORDERS, AT_A_TIME):
        numbers = range(at, at + AT_A_TIME)
        for number, answer in zip(numbers, await asyncio.gather(*map(place, numbers)), strict=True):
            (refused if isinstance(answer, grpc.StatusCode) else placed)[number] = answer
        if refused:
            break
    assert set(refused.values()) == {grpc.StatusCode.UNAVAILABLE}
    # What was acknowledged can be read, also now.
    for order in list(placed.values())[-3:]:
        got = await replica.orders.GetOrder(order_service_pb2.GetOrderRequest(name=order.name), metadata=ANN)
        assert got.version >= order.version
    filler.unlink()
    again = next(iter(refused))

    async def placed_again():
        answer = await place(again)
        assert not isinstance(answer, grpc.StatusCode), answer

    await passes(placed_again, 20)
    for number, order in list(placed.items())[-20:]:
        assert (await place(number)).name == order.name
