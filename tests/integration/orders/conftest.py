"""A private PostgreSQL and a private Kafka, started for these tests and gone with them."""

import asyncio
import glob
import itertools
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import asyncpg
import confluent_kafka.admin
import pytest

from orders_svc.__main__ import apply_migrations
from runtime import database

HOST = "127.42.10.1"
PORT = 5442
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

    def start(self):
        options = (
            f"-c listen_addresses={HOST} -c port={PORT} -c unix_socket_directories= -c fsync=off -c max_connections=80"
        )
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
    apply_migrations(server.url("template_orders"))
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def database_url(postgres):
    name = f"orders_{next(NUMBERS)}"
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE template_orders")
    yield postgres.url(name)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
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
    configuration.write_text(
        "process.roles=broker,controller\nnode.id=1\n"
        f"listeners=PLAINTEXT://{KAFKA},CONTROLLER://127.42.13.1:9093\n"
        f"advertised.listeners=PLAINTEXT://{KAFKA}\ncontroller.listener.names=CONTROLLER\n"
        "controller.quorum.voters=1@127.42.13.1:9093\n"
        f"log.dirs={folder}/log\noffsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
        "transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\noffsets.topic.num.partitions=4\n"
    )
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
