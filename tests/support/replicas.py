"""Replicas of both services as processes, and their `migrate`."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import grpc
from shop.orders.v1 import order_service_pb2_grpc

from tests.support.processes import CHECKOUT, Process, free_port, own_host

ORDERS_HOST = own_host(1)
INVENTORY_HOST = own_host(4)


class OrdersReplica:
    """`python -m orders_svc` as a process."""

    def __init__(self, environment, log):
        self.address = f"{ORDERS_HOST}:{free_port(ORDERS_HOST)}"
        self.metrics = f"{ORDERS_HOST}:{free_port(ORDERS_HOST)}"
        self.log = log
        self.environment = {
            **os.environ,
            **environment,
            "GRPC_LISTEN": self.address,
            "METRICS_LISTEN": self.metrics,
            "POD_NAME": log.stem,
            "DRAIN_WAIT_S": "0",
        }
        self.process = None
        self.channel = None

    async def start(self):
        with self.log.open("ab") as log:
            self.process = self._spawn(log)
        self.channel = grpc.aio.insecure_channel(self.address)
        async with asyncio.timeout(60):
            await self.channel.channel_ready()

    def _spawn(self, log):
        return subprocess.Popen([sys.executable, "-m", "orders_svc"], env=self.environment, stdout=log, stderr=log)

    @property
    def orders(self):
        return order_service_pb2_grpc.OrderServiceStub(self.channel)

    def kill(self):
        self.process.kill()
        self.process.wait()

    async def stop(self):
        if self.channel is not None:
            await self.channel.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            await asyncio.to_thread(self.process.wait, 20)


def inventory_replica(folder, name, *, redis, brokers, orders, **settings):
    """Return `python -m inventory_svc` as a process that is not started yet."""
    listen = f"{INVENTORY_HOST}:{free_port(INVENTORY_HOST)}"
    environment = {
        "GRPC_LISTEN": listen,
        "METRICS_LISTEN": f"{INVENTORY_HOST}:{free_port(INVENTORY_HOST)}",
        "POD_NAME": name,
        "REDIS_URL": redis,
        "KAFKA_BROKERS": brokers,
        "ORDERS_ADDRESS": orders,
        "ORDERS_AUTHORITY": "orders.shop.svc.cluster.local:50051",
        "DRAIN_WAIT_S": "0",
        "LOOK_S": "0.2",
        **settings,
    }
    process = Process(
        [sys.executable, "-X", "faulthandler", "-m", "inventory_svc"], Path(folder) / f"{name}.log", **environment
    )
    process.address = listen
    process.environment = environment
    return process


def migrate(service, settings):
    """Run `python -m SERVICE migrate`."""
    command = [sys.executable, "-m", service, "migrate"]
    environment = {**os.environ, **settings}
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
