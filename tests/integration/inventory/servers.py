"""Private servers for tests: a Redis on a unix socket, a Kafka broker, and an AllocationService."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import grpc
from shop.orders.v1 import allocation_service_pb2 as messages
from shop.orders.v1.allocation_service_pb2_grpc import (
    AllocationServiceServicer,
    add_AllocationServiceServicer_to_server,
)

from stack.install import packages
from stores import files

KAFKA = "127.41.13.1"
CHECKOUT = Path(__file__).resolve().parents[3]


class Process:
    """A child process that is gone when the test is."""

    def __init__(self, command, log, **environment):
        self._command = [str(part) for part in command]
        self._log = Path(log)
        self._environment = {**os.environ, **environment}
        self._child = None

    def start(self):
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment, cwd=CHECKOUT)
        return self

    @property
    def alive(self):
        return self._child is not None and self._child.poll() is None

    def log(self):
        return self._log.read_text(errors="replace")

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def freeze(self):
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._child.send_signal(signal.SIGCONT)

    def _end(self, number):
        if self.alive:
            self._child.send_signal(number)
            try:
                self._child.wait(20)
            except subprocess.TimeoutExpired:
                self._child.send_signal(signal.SIGABRT)
                self._child.wait(5)
                raise


class RedisServer(Process):
    """A Redis set up as the stack's is."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.url = f"unix://{self.folder}/redis.sock"
        configuration = self.folder / "redis.conf"
        own = f"port 0\nunixsocket {self.folder}/redis.sock\ndir {self.folder}\n"
        configuration.write_text(files.redis() + own)
        super().__init__(["redis-server", configuration], self.folder / "redis.log")

    def start(self):
        super().start()
        wait_for(lambda: (self.folder / "redis.sock").exists() and self._answers(), 10, "Redis")
        return self

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.folder / "redis.sock"))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False


class KafkaServer(Process):
    """One broker of its own; the jars are those that the stack has installed."""

    def __init__(self, folder, libs, port):
        self.brokers = f"{KAFKA}:{port}"
        folder = Path(folder)
        configuration = folder / "kafka.properties"
        settings = files.kafka(listen=self.brokers, controller=f"{KAFKA}:{port + 1}", data=str(folder / "data"))
        configuration.write_text(settings)
        # Copied by value here, since `java -cp` expands its own star.
        java = [packages.java(), "-Xms96m", "-Xmx192m", "-XX:+UseSerialGC", "-cp", f"{libs}/*"]
        subprocess.run(
            [*map(str, java), "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", configuration],
            check=True,
            capture_output=True,
            timeout=60,
        )
        super().__init__([*java, "kafka.Kafka", configuration], folder / "kafka.log")
        self._address = (KAFKA, port)

    def start(self):
        super().start()
        wait_for(self._answers, 120, "Kafka")
        return self

    def _answers(self):
        assert self.alive, self.log()[-3000:]
        with socket.socket() as connection:
            return connection.connect_ex(self._address) == 0


class Allocations(AllocationServiceServicer):
    """What orders own, as the test says, and the generations that were started."""

    def __init__(self, address):
        self.address = address
        self.generation = 0
        self.owned = {}
        self.confirmed_on = {}
        self._server = None

    async def start(self):
        self._server = grpc.aio.server()
        add_AllocationServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()
        return self

    async def stop(self):
        await self._server.stop(0)

    async def StartGeneration(self, request, context):
        self.generation = max(self.generation, request.above) + 1
        units = Counter()
        for lines in self.owned.values():
            units.update(lines)
        sold = [messages.SoldUnits(product=f"products/{name}", units=count) for name, count in units.items()]
        return messages.StartGenerationResponse(generation=self.generation, sold=sold)

    async def GetGeneration(self, request, context):
        return messages.GetGenerationResponse(generation=self.generation)

    async def CheckAllocations(self, request, context):
        # Whatever the test put here without a generation was confirmed in the present one.
        names = {name.partition("/")[2]: name for name in request.orders}
        owners = [
            name
            for order, name in names.items()
            if order in self.owned and self.confirmed_on.get(order, self.generation) >= request.generation
        ]
        return messages.CheckAllocationsResponse(orders=owners)


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def inventory(folder, name, *, redis, brokers, orders, **settings):
    """A replica of the service as a process of its own."""
    listen = f"127.41.2.1:{free_port('127.41.2.1')}"
    environment = {
        "GRPC_LISTEN": listen,
        "METRICS_LISTEN": f"127.41.2.1:{free_port('127.41.2.1')}",
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


def migrate(environment):
    command = [sys.executable, "-m", "inventory_svc", "migrate"]
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} was not there within {seconds} s"
        time.sleep(0.05)


async def eventually(check, seconds=15):
    """Return what *check* returns once it no longer fails; fail as it does after *seconds*."""
    end = time.monotonic() + seconds
    while True:
        try:
            return await check()
        except (AssertionError, grpc.aio.AioRpcError):
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.05)
