"""The stores' settings as the files of this folder have them, with a place's addresses put in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import yaml

FOLDER = Path(__file__).parent
# The account of the metrics' exporters, with no right to any table or key.
MONITOR = "monitor"
# The role in which orders serves, as serving.sql makes it.
SERVING = "orders_serving"
# The account of who administers Redis on one machine; inventory's own may not.
ADMINISTRATOR = "admin"
REDIS_MONITOR_RIGHTS = "resetkeys resetchannels -@all +ping +info +latency|latest +slowlog|len +client|setname"
MAX_COPIES = 3
# The exporters' options; k8s/stores has the same. PostgreSQL's queries are those of postgres-metrics.yml alone.
POSTGRES_EXPORTER = (
    "--disable-default-metrics",
    "--disable-settings-metrics",
    "--no-collector.database",
    "--no-collector.bgwriter",
)
REDIS_EXPORTER = ("-redis-only-metrics", "-config-command=-")


def redis_rights() -> str:
    """Return what inventory's account of Redis may do, as an ACL rule."""
    rights: str = yaml.safe_load((FOLDER / "access.yaml").read_text())["redis"]["inventory"]
    return rights


def patroni() -> dict[str, Any]:
    """Return what every member of a PostgreSQL cluster has in common."""
    settings: dict[str, Any] = yaml.safe_load((FOLDER / "patroni.yml").read_text())
    return settings


def postgresql() -> dict[str, Any]:
    """Return the parameters of a PostgreSQL server, by name."""
    settings = patroni()
    agreed: dict[str, Any] = settings["bootstrap"]["dcs"]["postgresql"]["parameters"]
    own: dict[str, Any] = settings["postgresql"]["parameters"]
    return agreed | own


def kafka(broker: int = 0, *, listen: str, controllers: Sequence[str], data: str) -> str:
    """
    Return the properties of a broker, one for each of *controllers*, counted from 0; addresses are each `HOST:PORT`.

    The copies of a partition are as many as images/kafka/start.sh has for that many brokers.
    """
    copies = min(len(controllers), MAX_COPIES)
    return Template((FOLDER / "kafka.properties").read_text()).substitute(
        node=broker + 1,
        voters=",".join(f"{node}@{controller}" for node, controller in enumerate(controllers, start=1)),
        listen=listen,
        controller=controllers[broker],
        advertised=listen,
        data=data,
        copies=copies,
        in_sync=max(1, copies - 1),
    )


def redis() -> str:
    """Return the lines that a Redis's own follow."""
    return (FOLDER / "redis.conf").read_text()
