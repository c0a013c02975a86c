"""`migrate` on a database that several hosts may have."""

import asyncio

import asyncpg
import pytest

from orders_svc.__main__ import apply_migrations, url_of_primary
from tests.integration.orders.conftest import HOST, PORT, execute


@pytest.fixture
async def empty_database(postgres):
    await execute(postgres, "CREATE DATABASE empty")
    yield f"postgresql://orders:s%40cret@127.42.10.9:{PORT},{HOST}:{PORT}/empty?target_session_attrs=primary"
    await execute(postgres, "DROP DATABASE empty WITH (FORCE)")


async def test_the_primary_is_found_among_the_hosts(empty_database):
    assert await url_of_primary(empty_database) == f"postgresql://orders:s%40cret@{HOST}:{PORT}/empty?sslmode=disable"


def test_migrating_twice_is_migrating_once(empty_database, postgres):
    async def tables():
        connection = await asyncpg.connect(postgres.url("empty"))
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        await connection.close()
        return {row["tablename"] for row in found}

    apply_migrations(empty_database)
    first = asyncio.run(tables())
    apply_migrations(empty_database)
    assert {"orders", "outbox", "idempotency_keys", "order_changes"} <= first
    assert asyncio.run(tables()) == first
