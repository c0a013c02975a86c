"""`migrate` on a database with several hosts, and of an owner without other rights."""

import asyncio
from types import SimpleNamespace

import asyncpg
import pytest
from pydantic import SecretStr

from orders_svc import migrations
from orders_svc.migrations import apply_migrations, url_of_primary
from runtime import database
from tests.components.conftest import execute
from tests.support.postgres_server import ONLY_TLS


@pytest.fixture
async def empty_database(postgres):
    await execute(postgres, "CREATE DATABASE empty")
    yield f"postgresql://orders:s%40cret@127.42.10.99:{postgres.port},{postgres.address}/empty?target_session_attrs=primary"
    await execute(postgres, "DROP DATABASE empty WITH (FORCE)")


async def test_the_primary_is_found_among_several_hosts(empty_database, postgres):
    found = await url_of_primary(empty_database)
    assert found == f"postgresql://orders:s%40cret@{postgres.address}/empty?sslmode=disable"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("", "sslmode=disable"),
        ("?sslmode=prefer", "sslmode=disable"),
        ("?sslmode=require", "sslmode=require"),
        (
            "?target_session_attrs=primary&sslmode=verify-full&sslrootcert=/ca.crt",
            "sslmode=verify-full&sslrootcert=%2Fca.crt",
        ),
    ],
)
async def test_dbmate_uses_tls_where_the_url_requires_it(given, used):
    assert await url_of_primary(f"postgresql://o:s@db:5432/orders{given}") == f"postgresql://o:s@db:5432/orders?{used}"


@pytest.fixture
async def encrypted_database(postgres):
    await execute(postgres, f"CREATE DATABASE {ONLY_TLS}")
    yield f"postgresql://orders:secret@{postgres.address},127.42.10.99:{postgres.port}/{ONLY_TLS}?target_session_attrs=primary"
    await execute(postgres, f"DROP DATABASE {ONLY_TLS} WITH (FORCE)")


def test_a_server_that_takes_only_tls_is_migrated_and_used(encrypted_database, postgres):
    async def orders():
        pool = await database.connect(f"{encrypted_database}&{verified}", max_connections=1)
        found = await pool.fetchval("SELECT count(*) FROM orders")
        encrypted = await pool.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await pool.close()
        return found, encrypted

    verified = f"sslmode=verify-full&sslrootcert={postgres.authority}"
    apply_migrations(f"{encrypted_database}&{verified}")
    assert asyncio.run(orders()) == (0, True)


def test_migrating_twice_changes_nothing(empty_database, postgres):
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


FIRST = "20260101000000_orders.sql"
ROWS = """
INSERT INTO orders (order_id, customer, state, state_reason, lines, currency, total, generation,
                    version, create_time, update_time)
SELECT gen_random_uuid(), 'ann', state::order_state, '', '[{"product": "products/tea", "quantity": 2}]',
    'EUR', 1, 1, 1, now(), now()
FROM unnest(ARRAY['CONFIRMED', 'CONFIRMED', 'FULFILLED', 'CANCELLED', 'PENDING']) AS state
"""


def test_sold_units_of_a_database_of_the_first_version_are_counted(empty_database, postgres, tmp_path, monkeypatch):
    async def do(statement):
        connection = await asyncpg.connect(postgres.url("empty"))
        found = await connection.fetch(statement)
        await connection.close()
        return [tuple(row) for row in found]

    schema = migrations.SCHEMA
    (tmp_path / FIRST).write_text((schema / FIRST).read_text())
    monkeypatch.setattr(migrations, "SCHEMA", tmp_path)
    apply_migrations(empty_database)
    asyncio.run(do(ROWS))
    monkeypatch.setattr(migrations, "SCHEMA", schema)
    apply_migrations(empty_database)
    assert asyncio.run(do("SELECT product, sum(units)::int FROM sold_units GROUP BY 1")) == [("products/tea", 6)]
    asyncio.run(do(ROWS))
    assert asyncio.run(do("SELECT product, sum(units)::int FROM sold_units GROUP BY 1")) == [("products/tea", 12)]


@pytest.fixture
async def owned_database(postgres):
    """Return the address of a migrated database whose owner may create no roles."""
    await execute(postgres, "CREATE ROLE owner LOGIN; CREATE ROLE serving NOLOGIN")
    await execute(postgres, "CREATE DATABASE owned OWNER owner")
    url = postgres.url("owned").replace("orders:", "owner:")
    await asyncio.to_thread(apply_migrations, url)
    yield url
    await execute(postgres, "DROP DATABASE owned WITH (FORCE)")
    await execute(postgres, "DROP ROLE owner, serving")


async def test_migrate_fails_where_its_replicas_could_not_serve_in_their_role(owned_database, postgres):
    def settings(role):
        url = SecretStr(owned_database)
        return SimpleNamespace(
            database_url=url, database_password_file=None, database_connections=1, database_role=role
        )

    for role, why in (
        ("nobody", 'role "nobody" does not exist'),
        ("serving", 'permission denied to set role "serving"'),
    ):
        with pytest.raises(RuntimeError, match=f"cannot serve in the role {role} .{why}"):
            await migrations._grant(settings(role))
    await execute(postgres, "GRANT serving TO owner")
    await migrations._grant(settings("serving"))
    pool = await database.connect(owned_database, role="serving", max_connections=1)
    assert await pool.fetchval("SELECT count(*) FROM orders") == 0
    await pool.close()
