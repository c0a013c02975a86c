"""Secrets: drawn once for a cluster, kept there, never anywhere else."""

import base64
import json
import secrets
from collections.abc import Callable, Mapping

from k8s.kubectl import NAMESPACE, get, kubectl

# What each secret holds that is drawn by chance.
DRAWN: Mapping[str, tuple[str, ...]] = {
    "postgres": ("SUPERUSER_PASSWORD", "REPLICATION_PASSWORD", "API_PASSWORD", "ORDERS_PASSWORD"),
    "redis": ("PASSWORD",),
    "orders": ("PAGE_TOKEN_KEY",),
}
MEMBERS = 3


def keep(*, say: Callable[[str], None]) -> None:
    """
    Draw the secrets that the namespace does not have; one that is there never changes.

    So whoever has put addresses of other data stores into `stores` keeps them.
    """
    known = {each["metadata"]["name"]: _decoded(each["data"]) for each in get("secrets") if each.get("data")}
    for name, keys in DRAWN.items():
        if name not in known:
            known[name] = {key: secrets.token_hex(24) for key in keys}
            _create(name, known[name], say)
    if "stores" not in known:
        _create("stores", addresses(known["postgres"]["ORDERS_PASSWORD"], known["redis"]["PASSWORD"]), say)


def addresses(orders_password: str, redis_password: str) -> dict[str, str]:
    """Where the services find the data stores of k8s/stores."""
    domain = f"{NAMESPACE}.svc.cluster.local"
    postgres = ",".join(f"postgres-{number}.postgres.{domain}:5432" for number in range(MEMBERS))
    return {
        "DATABASE_URL": f"postgresql://orders:{orders_password}@{postgres}/orders?target_session_attrs=primary",
        "REDIS_URL": f"redis://:{redis_password}@redis.{domain}:6379/0",
        "KAFKA_BROKERS": ",".join(f"kafka-{number}.kafka.{domain}:9092" for number in range(MEMBERS)),
    }


def _create(name: str, values: Mapping[str, str], say: Callable[[str], None]) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": dict(values),
    }
    kubectl("create", "-f", "-", stdin=json.dumps(secret))
    say(f"secrets: drew {name}")


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in data.items()}
