"""
Tests of one component with the real programs it needs, on free ports; no stack runs.
"""

import itertools

import asyncpg
import pytest

from tests.support.postgres_server import running_postgres

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    """Start a PostgreSQL; each test has its own database in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def database_url(postgres):
    """Return the address of an empty database with the tables of orders."""
    name = f"orders_{next(NUMBERS)}"
    await execute(postgres, f"CREATE DATABASE {name} TEMPLATE template_orders")
    yield postgres.url(name)
    await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def execute(postgres, statement):
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(statement)
    await connection.close()
