"""Existing orders: old ones of separate customers, cancelled, so that they own no stock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from bench import database
from stack.settings import Settings

STEP = 20_000
SEED = """
WITH seeded AS (
    INSERT INTO orders (order_id, customer, state, state_reason, lines, generation, version, create_time, update_time)
    SELECT gen_random_uuid(), 'stored-' || n %% 1000, 'CANCELLED', '',
           '[{"product": "products/espresso-cup", "quantity": 1}]', 0, 1,
           now() - n %% 500000 * interval '1 second', now()
    FROM generate_series(1, %s) AS n RETURNING order_id, customer, create_time
), recorded AS (
    INSERT INTO order_changes (order_id, version, snapshot)
    SELECT order_id, 1, decode(repeat('61', 150), 'hex') FROM seeded
)
INSERT INTO idempotency_keys (customer, request_id, fingerprint, order_id, version, create_time, http_code)
SELECT customer, order_id::text, decode(repeat('61', 32), 'hex'), order_id, 1, create_time, 201 FROM seeded
"""
FORGET = (
    """DELETE FROM order_changes USING orders
    WHERE orders.order_id = order_changes.order_id AND orders.customer LIKE 'stored-%'""",
    "DELETE FROM idempotency_keys WHERE customer LIKE 'stored-%'",
    "DELETE FROM orders WHERE customer LIKE 'stored-%'",
)
COUNT = "SELECT count(*) FROM orders"
TIDY = "VACUUM (ANALYZE) orders, order_changes, idempotency_keys"


def count(settings: Settings, name: str) -> int:
    """Return the number of orders in the database *name*."""
    return database.number(settings, name, COUNT)


def fill(settings: Settings, name: str, wanted: int) -> int:
    """
    Fill the database *name* up to *wanted* orders; return how many it has.
    """
    missing = wanted - count(settings, name)
    with database.connected(settings, name) as connection:
        # In steps, each its own transaction, so that services continue beside it.
        for begun in range(0, max(0, missing), STEP):
            connection.execute(SEED, [min(STEP, missing - begun)])
        connection.execute(TIDY)
    return count(settings, name)


@contextmanager
def forgotten(settings: Settings, name: str) -> Iterator[None]:
    """Remove at the end what `fill` has stored."""
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError), database.connected(settings, name) as connection:
            for statement in FORGET:
                connection.execute(statement.encode())
            connection.execute(TIDY)
