"""A private PostgreSQL and a private Kafka, started for these tests and gone with them."""

import asyncio
import contextlib
import glob
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import confluent_kafka.admin
import grpc
import pytest
from google.type.money_pb2 import Money
from shop.inventory.v1 import inventory_pb2, inventory_service_pb2, inventory_service_pb2_grpc
from shop.orders.v1 import order_service_pb2_grpc

from orders_svc.__main__ import apply_migrations
from runtime import database
from runtime.errors import FailedPrecondition, Violation
from runtime.messaging.reader import messages_to_end
from runtime.status import to_status
from stores import files

HOST = "127.42.10.1"
PORT = 5442
# A database that takes no connection in plain text.
ONLY_TLS = "only_tls"
KAFKA = "127.42.13.1:9092"
NUMBERS = itertools.count()


def as_postgres(*command):
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


class Postgres:
    """One server on its own address; `kill` is SIGKILL to all of it."""

    def __init__(self, folder):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            pytest.skip("PostgreSQL is not installed")
        self._bin = Path(found[-1])
        self._data = folder / "data"
        initdb = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "orders", "--auth=trust", "-N"]
        subprocess.run(as_postgres(*initdb), check=True, capture_output=True)
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        certificate += ["-days", "1", "-subj", "/CN=postgres", "-addext", f"subjectAltName=IP:{HOST}"]
        certificate += ["-keyout", str(self._data / "server.key"), "-out", str(self._data / "server.crt")]
        subprocess.run(as_postgres(*certificate), check=True, capture_output=True)
        access = self._data / "pg_hba.conf"
        access.write_text(f"hostnossl {ONLY_TLS} all all reject\n{access.read_text()}")

    @property
    def authority(self):
        """The certificate that signs the server's: its own."""
        return self._data / "server.crt"

    def start(self):
        # As the stack's, but for the place, and for what a throw-away server need not keep.
        own = {"listen_addresses": HOST, "port": PORT, "ssl": "on", "fsync": "off"}
        options = " ".join(f"-c {name}={value}" for name, value in (files.postgresql() | own).items())
        command = [
            str(self._bin / "pg_ctl"),
            "-D",
            str(self._data),
            "-w",
            "-l",
            f"{self._data}.log",
            "-o",
            options,
            "start",
        ]
        subprocess.run(as_postgres(*command), check=True, capture_output=True)

    def stop(self, mode="immediate"):
        command = [str(self._bin / "pg_ctl"), "-D", str(self._data), "-m", mode, "-w", "stop"]
        subprocess.run(as_postgres(*command), check=False, capture_output=True)

    @staticmethod
    def url(name):
        return f"postgresql://orders:secret@{HOST}:{PORT}/{name}"


@pytest.fixture(scope="session")
def postgres():
    folder = Path(tempfile.mkdtemp(prefix="orders-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    server = Postgres(folder)
    server.start()
    try:
        apply_migrations(server.url("template_orders"))
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def database_url(postgres):
    name = f"orders_{next(NUMBERS)}"
    await execute(postgres, f"CREATE DATABASE {name} TEMPLATE template_orders")
    yield postgres.url(name)
    await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def execute(postgres, statement):
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(statement)
    await connection.close()


@pytest.fixture
async def pool(database_url):
    opened = await database.connect(database_url, most=8)
    yield opened
    await asyncio.wait_for(opened.close(), 5)


@pytest.fixture(scope="session")
def kafka():
    """The address of a broker of our own."""
    libs = Path(os.environ.get("KAFKA_LIBS", "/var/tmp/order-system/kafka-libs"))
    if not any(libs.glob("kafka_2.13-*.jar")):
        pytest.skip("Kafka's jars are not installed")
    folder = Path(tempfile.mkdtemp(prefix="orders-kafka-"))
    configuration = folder / "server.properties"
    configuration.write_text(files.kafka(listen=KAFKA, controller="127.42.13.1:9093", data=f"{folder}/log"))
    java = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-cp", f"{libs}/*"]
    identifier = "MkU3OEVBNTcwNTJENDM2Qk"
    formatting = [*java, "kafka.tools.StorageTool", "format", "-t", identifier, "-c", str(configuration)]
    subprocess.run(formatting, check=True, capture_output=True)
    log = (folder / "broker.log").open("wb")
    broker = subprocess.Popen([*java, "kafka.Kafka", str(configuration)], stdout=log, stderr=log)
    try:
        wait_for_kafka()
        yield KAFKA
    finally:
        broker.kill()
        broker.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_kafka():
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": KAFKA, "log_level": 0})
    end = time.monotonic() + 40
    while time.monotonic() < end:
        try:
            admin.list_topics(timeout=2)
        except confluent_kafka.KafkaException:
            time.sleep(0.3)
        else:
            return
    raise AssertionError("Kafka does not answer")


@pytest.fixture
def suffix():
    """Keeps one test's topics and groups apart from another's."""
    return uuid.uuid4().hex[:8]


class StandInInventory(inventory_service_pb2_grpc.InventoryServiceServicer):
    """Inventory's contract in a few lines, so that these tests need only the orders' own stores."""

    def __init__(self):
        self.holds = {}
        self.released = set()
        self.stock = {}
        self.calls = 0
        self.delay_s = 0
        self.generation = 0

    async def BatchHoldStock(self, request, context):
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        outcomes = [self._hold(each) for each in request.requests]
        return inventory_service_pb2.BatchHoldStockResponse(outcomes=outcomes)

    def _hold(self, request):
        if request.order not in self.holds:
            for line in request.lines:
                left = self.stock.get(line.product, 0)
                if left < line.quantity:
                    missing = Violation("OUT_OF_STOCK", line.product, f"{left} left")
                    error = FailedPrecondition("not enough", reason="OUT_OF_STOCK", violations=[missing])
                    status = to_status(error, "inventory.shop.example.com")
                    return inventory_service_pb2.HoldStockOutcome(error=status)
            for line in request.lines:
                self.stock[line.product] -= line.quantity
        lines = [
            inventory_pb2.HoldLine(
                product=line.product, quantity=line.quantity, unit_price=Money(currency_code="EUR", units=2)
            )
            for line in request.lines
        ]
        hold = inventory_pb2.Hold(
            name=request.order.replace("orders", "holds"), order=request.order, lines=lines, generation=self.generation
        )
        hold.expire_time.FromDatetime(datetime.now(UTC) + timedelta(minutes=5))
        self.holds[request.order] = hold
        return inventory_service_pb2.HoldStockOutcome(hold=hold)


class InventoryServer:
    """Starts and stops the stand-in on its address."""

    def __init__(self, port):
        self.address = f"127.42.2.1:{port}"
        self.servicer = StandInInventory()
        self._server = None

    async def start(self):
        self._server = grpc.aio.server()
        inventory_service_pb2_grpc.add_InventoryServiceServicer_to_server(self.servicer, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self):
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


@pytest.fixture
async def inventory():
    server = InventoryServer(20000 + next(NUMBERS))
    server.servicer.stock = {"products/tea": 1_000_000, "products/pot": 5}
    await server.start()
    yield server
    await server.stop()


class Replica:
    """`python -m orders_svc` as a process of its own."""

    def __init__(self, environment, log):
        number = next(NUMBERS)
        self.address = f"127.42.1.1:{21000 + number}"
        self.metrics = f"127.42.1.1:{26000 + number}"
        self.log = log
        self._environment = {
            **os.environ,
            **environment,
            "GRPC_LISTEN": self.address,
            "METRICS_LISTEN": self.metrics,
            "POD_NAME": f"orders-{number}",
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
        return subprocess.Popen([sys.executable, "-m", "orders_svc"], env=self._environment, stdout=log, stderr=log)

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


@pytest.fixture
async def environment(database_url, kafka, inventory):
    """What a replica is told; the topics are made anew, so that tests do not see each other's messages."""
    settings = {
        "DATABASE_URL": database_url,
        "KAFKA_BROKERS": kafka,
        "INVENTORY_ADDRESS": inventory.address,
        "SAGA_RETRY_DELAYS_S": "[1, 2, 3]",
    }
    await asyncio.to_thread(empty_topics)
    await asyncio.to_thread(migrate, settings)
    return settings


def migrate(settings):
    command = [sys.executable, "-m", "orders_svc", "migrate"]
    subprocess.run(command, env={**os.environ, **settings}, check=True, capture_output=True)


def empty_topics():
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": KAFKA, "log_level": 0})
    names = [name for name in admin.list_topics(timeout=5).topics if not name.startswith("__")]
    for future in admin.delete_topics(names).values() if names else ():
        future.result(10)
    groups = [each.group_id for each in admin.list_consumer_groups().result(10).valid]
    for future in admin.delete_consumer_groups(groups).values() if groups else ():
        with contextlib.suppress(confluent_kafka.KafkaException):
            future.result(10)
    end = time.monotonic() + 10
    while time.monotonic() < end and any(not n.startswith("__") for n in admin.list_topics(timeout=5).topics):
        time.sleep(0.1)


@pytest.fixture
async def replicas(environment, tmp_path):
    """Makes running replicas."""
    made = []

    async def start(count=1):
        new = [Replica(environment, tmp_path / f"orders-{len(made) + n}.log") for n in range(count)]
        made.extend(new)
        await asyncio.gather(*(each.start() for each in new))
        return new

    yield start
    for each in made:
        await each.stop()


def read_topic(name, *, within_s=10, at_least=1):
    """Everything in a topic, once it has *at_least* messages."""
    end = time.monotonic() + within_s
    while True:
        found = list(messages_to_end(KAFKA, name, within_s=within_s))
        if len(found) >= at_least or time.monotonic() > end:
            return found
        time.sleep(0.2)


@pytest.fixture
def topic(kafka):
    return read_topic


@pytest.fixture
def eventually():
    """Waits for a probe's first true answer."""

    async def wait(probe, *, within_s=15):
        end = time.monotonic() + within_s
        answer = None
        while time.monotonic() < end:
            answer = await probe()
            if answer:
                return answer
            await asyncio.sleep(0.2)
        raise AssertionError(f"not within {within_s} s; last answer: {answer!r}")

    return wait
