"""Reads through the edge, each customer's own orders with their own token."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import database
from bench.load import Load, LoadFailed, run_wrk
from bench.running import Running

SCRIPT = Path(__file__).with_name("reads.lua")
PAGE = 20
OWN = re.compile(r"bench-([0-9]+)")
FIND = """
SELECT order_id, customer FROM orders WHERE customer LIKE 'bench-%' AND state = 'CONFIRMED'
ORDER BY create_time DESC LIMIT 20000
"""


def owned(running: Running, count: int) -> list[tuple[str, str]]:
    """
    Return at most *count* confirmed orders, each id with its owner's token.
    """
    tokens = running.tokens.read_text().split()
    with database.connected(running.settings, running.rows_in) as connection:
        rows = connection.execute(FIND).fetchall()
    found = ((str(order), OWN.fullmatch(owner)) for order, owner in rows)
    known = [(order, int(match[1])) for order, match in found if match]
    return [(order, tokens[owner]) for order, owner in known if owner < len(tokens)][:count]


def calls(kind: str, orders: Sequence[tuple[str, str]]) -> list[str]:
    """
    Return the lines of `reads.lua`'s file for one kind of read: GetOrder, ListOrders or ListProducts.
    """
    paths = {
        "GetOrder": "/v1/orders/{order}",
        "ListOrders": f"/v1/orders?pageSize={PAGE}",
        "ListProducts": "/v1/products",
    }
    return [f"{paths[kind].format(order=order)} {token}" for order, token in orders]


def run(running: Running, kind: str, load: Load) -> dict[str, float]:
    """
    Return wrk's results for reads of one kind; raise `LoadFailed`, also if there is nothing to read yet.
    """
    orders = owned(running, 500)
    if not orders:
        raise LoadFailed("there are no orders to read")
    with tempfile.NamedTemporaryFile("w", prefix="bench-") as file:
        file.write("\n".join(calls(kind, orders)) + "\n")
        file.flush()
        return run_wrk(SCRIPT, running.edge, (file.name,), load)
