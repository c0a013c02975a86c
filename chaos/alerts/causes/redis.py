"""Causes in Redis: a limit that is too low, connections, a stock that somebody changed by hand."""

from __future__ import annotations

import re
import time
from pathlib import Path

from redis import Redis

from chaos.alerts.causes import holder
from chaos.alerts.causes.machine import stack_command
from stack.describe import describe
from stack.errors import StackError
from stack.settings import CHECKOUT, Settings

FULL = 0.86
MARKER = "stock:marker"
LIMIT = re.compile(r"^maxmemory (\S+)$", re.MULTILINE)
TICK_MS = 600_000
"""As in common.lua."""


def _administrator(chosen: Settings) -> Redis:
    return Redis.from_url(describe(chosen).redis_url, socket_timeout=10, decode_responses=True)


def lower_limit(chosen: Settings, _kept: Path) -> None:
    """Lower maxmemory to what is used and a little more."""
    with _administrator(chosen) as session:
        used = int(session.info("memory")["used_memory"])
        session.config_set("maxmemory", int(used / FULL))


def raise_limit(chosen: Settings, _kept: Path) -> None:
    """Set maxmemory to what stores/redis.conf says."""
    limit = LIMIT.search((CHECKOUT / "stores" / "redis.conf").read_text(encoding="utf-8"))
    if limit is None:
        raise LookupError("stores/redis.conf has no maxmemory")
    with _administrator(chosen) as session:
        session.config_set("maxmemory", limit.group(1))


def use_connections(_chosen: Settings, kept: Path) -> None:
    """Open 900 connections of the thousand that are allowed."""
    holder.start("clients", kept)


def end_connections(_chosen: Settings, kept: Path) -> None:
    """Close them."""
    holder.stop(kept)


def lose_unit(chosen: Settings, _kept: Path, product: str) -> None:
    """Take a unit of a product out of what is on hand, and out of nothing else."""
    with _administrator(chosen) as session:
        key = f"{session.hget(MARKER, 'prefix')}product:{product}"
        if not session.exists(key):
            raise StackError(f"there is no product {product}")
        session.hincrby(key, "on_hand", -1)


def reconcile(chosen: Settings, _kept: Path, _product: str) -> None:
    """Reconcile, which has a stock rebuilt that does not add up."""
    stack_command(chosen, "reconcile")


def forget_orders(chosen: Settings, _kept: Path) -> None:
    """Have inventory believe that it has forgotten every order until now; a rebuild ends that."""
    with _administrator(chosen) as session:
        session.set(f"{session.hget(MARKER, 'prefix')}horizon", int(time.time() * 1000) // TICK_MS + 1)
