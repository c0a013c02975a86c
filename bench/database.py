"""Measurements in PostgreSQL itself: WAL bytes and row counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from stack.settings import Settings
from stack.topology import passwords
from stack.topology.addresses import Port
from stack.topology.plan import postgres_hosts

SUPERUSER = "postgres"
CONNECT_S = 5
Connection = psycopg.Connection[tuple[Any, ...]]


def members(settings: Settings) -> list[str]:
    """Return the addresses of the cluster's members, each `HOST:PORT`."""
    return [f"{host}:{Port.POSTGRES.value}" for host in postgres_hosts(settings).split(",")]


def url(settings: Settings, database: str) -> str:
    """Return the address of *database* on the leader, for the superuser."""
    password = passwords.read(settings.secrets).postgres_superuser
    return f"postgresql://{SUPERUSER}:{password}@{','.join(members(settings))}/{database}"


@contextmanager
def connected(settings: Settings, database: str) -> Iterator[Connection]:
    """Yield a connection to *database* on the leader; every statement is its own transaction."""
    address = url(settings, database)
    with psycopg.connect(
        address, target_session_attrs="read-write", connect_timeout=CONNECT_S, autocommit=True
    ) as connection:
        yield connection


def number(settings: Settings, database: str, statement: str) -> int:
    """Return the single number that *statement* selects."""
    with connected(settings, database) as connection:
        row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def pending(settings: Settings, database: str) -> int:
    """Return the number of pending orders."""
    return number(settings, database, "SELECT count(*) FROM orders WHERE state = 'PENDING'")


def wal_bytes(settings: Settings) -> int:
    """Return the number of WAL bytes since the cluster was created."""
    return number(settings, SUPERUSER, "SELECT pg_current_wal_lsn() - '0/0'")
