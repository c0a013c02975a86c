"""A stack in a temporary folder, on a network that no other test uses."""

from dataclasses import replace
from pathlib import Path

import pytest

from stack.settings import HA, Settings
from stack.topology.passwords import Passwords
from stack.topology.plan import Plan, Programs


@pytest.fixture
def settings(tmp_path):
    return Settings(checkout=Path("/checkout"), state=tmp_path / "state", tools=tmp_path / "tools", network=77)


@pytest.fixture
def plan(settings):
    passwords = Passwords(
        postgres_superuser="p1",
        postgres_replication="p2",
        orders_database="p3",
        redis="p4",
        redis_admin="p9",
        patroni_api="p5",
        page_token_key="p6",
        monitor="p8",
        backups="p7",
    )
    programs = Programs(
        postgres_bin=Path("/usr/lib/postgresql/15/bin"),
        redis=Path("/usr/bin/redis-server"),
        etcd=Path("/usr/bin/etcd"),
        prometheus=Path("/usr/bin/prometheus"),
        alertmanager=Path("/usr/bin/prometheus-alertmanager"),
        postgres_exporter=Path("/usr/bin/prometheus-postgres-exporter"),
        redis_exporter=Path("/usr/bin/prometheus-redis-exporter"),
        node_exporter=Path("/usr/bin/prometheus-node-exporter"),
        java=Path("/usr/bin/java"),
        postgres_user="postgres",
    )
    return Plan(settings=settings, passwords=passwords, programs=programs)


@pytest.fixture
def ha(plan):
    """The plan of a stack with three brokers and three members of PostgreSQL."""
    return replace(plan, settings=replace(plan.settings, profile=HA))
