"""
The limits of the stores and of Envoy without our services: PostgreSQL with an order's rows, Envoy with a direct
response.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import yaml

from bench import database
from bench.latencies import Called, called
from bench.load import SCRIPT, Load, LoadFailed, run_wrk
from orders_svc.migrations import apply_migrations
from stack.describe import describe
from stack.settings import Settings
from stack.topology import passwords
from stack.topology.addresses import Endpoint

DATABASE = "bench_limits"
ROWS = Path(__file__).with_name("order_rows.sql")
SPARE_S = 60
US_PER_MS = 1000
THREADS = 2
ANSWER = 201
FILTERS = "type.googleapis.com/envoy.extensions.filters"
# S of 127.N.S.1.
HOST = 50


@contextmanager
def empty_database(settings: Settings) -> Iterator[str]:
    """
    Yield a temporary database with orders' tables beside the stack's own.
    """
    with database.connected(settings, database.SUPERUSER) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    try:
        apply_migrations(database.url(settings, DATABASE))
        yield DATABASE
    finally:
        with suppress(psycopg.Error), database.connected(settings, database.SUPERUSER) as connection:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)".encode())


def pgbench(settings: Settings, name: str, *, seconds: int, connections: int) -> Called:
    """
    Insert the rows of orders in the database *name* for so many *seconds*; raises `LoadFailed`.
    """
    place = f"postgresql://{database.SUPERUSER}@{','.join(database.members(settings))}/{name}"
    program = describe(settings).programs.postgres_bin / "pgbench"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [
            *(str(program), "--no-vacuum", "--protocol=prepared", f"--client={connections}", f"--jobs={THREADS}"),
            *(f"--time={seconds}", f"--file={ROWS}", "--log", f"--log-prefix={folder}/took"),
            f"{place}?target_session_attrs=read-write",
        ]
        environment = {**os.environ, "PGPASSWORD": passwords.read(settings.secrets).postgres_superuser}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds + SPARE_S, check=False
        )
        if done.returncode:
            raise LoadFailed(f"pgbench failed: {done.stderr[-500:]}")
        took = [took_ms(line) for path in Path(folder).glob("took*") for line in path.read_text().splitlines()]
    if not took:
        raise LoadFailed(f"pgbench stored nothing in {seconds} s")
    return called(took, failed=0, seconds=len(took) / per_s(done.stdout))


def per_s(output: str) -> float:
    """
    Return pgbench's transactions per second, without the time to connect.
    """
    found = re.search(r"^tps = ([0-9.]+) ", output, re.MULTILINE)
    if found is None:
        raise LoadFailed(f"pgbench printed no rate: {output[-500:]}")
    return float(found[1])


def took_ms(line: str) -> float:
    """
    Return the milliseconds of a transaction in a line of pgbench's log.
    """
    # Client, number of the transaction, microseconds, and more.
    return int(line.split()[2]) / US_PER_MS


@contextmanager
def envoy(settings: Settings) -> Iterator[str]:
    """
    Yield the address of a temporary Envoy with a direct response to every call.
    """
    plan = describe(settings)
    listen = Endpoint(f"127.{settings.network}.{HOST}.1", 8080)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        configuration = Path(folder) / "envoy.yaml"
        configuration.write_text(yaml.safe_dump(direct_response(listen)))
        command = [plan.tool("envoy"), "--config-path", str(configuration), "--concurrency", "1"]
        quiet = ["--disable-hot-restart", "--log-level", "error"]
        with subprocess.Popen([*command, *quiet], stdin=subprocess.DEVNULL) as process:
            try:
                _wait_until_it_listens(listen, process)
                yield f"http://{listen}"
            finally:
                process.terminate()


def direct_response(listen: Endpoint) -> dict[str, object]:
    """
    Return the configuration of an Envoy that only returns 201 at *listen*.
    """
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": ANSWER, "body": {"inline_string": "{}"}}}
    manager = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "alone",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{FILTERS}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": listen.address, "port_value": listen.port}}
    return {"static_resources": {"listeners": [{"name": "alone", "address": address, "filter_chains": [chain]}]}}


def envoy_alone(settings: Settings, load: Load) -> dict[str, float]:
    """
    Return wrk's results for an Envoy with direct responses, called like the edge; raise `LoadFailed`.
    """
    with envoy(settings) as url:
        return run_wrk(SCRIPT, url, ("-", "products/none", uuid.uuid4().hex[:12], "0"), load)


def _wait_until_it_listens(listen: Endpoint, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SPARE_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection((listen.address, listen.port), timeout=1):
            return
        time.sleep(0.1)
    raise LoadFailed("Envoy does not listen")
