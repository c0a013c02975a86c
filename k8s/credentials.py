"""
Secrets: generated once for a cluster, and stored only there.

    python3 -m k8s.credentials

draws those that the namespace does not have, for a GitOps tool or a chart that brings everything else.
"""

import base64
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from k8s.kubectl import NAMESPACE, ClusterError, apply, get, kubectl

# The random values in each secret.
DRAWN: Mapping[str, tuple[str, ...]] = {
    "postgres": ("SUPERUSER_PASSWORD", "REPLICATION_PASSWORD", "API_PASSWORD", "ORDERS_PASSWORD"),
    "redis": ("PASSWORD",),
    "monitor": ("PASSWORD",),
    "orders": ("PAGE_TOKEN_KEY",),
}
MEMBERS = 3
# The credential that the Gateway names; create it first to use a real certificate.
EDGE = "edge-certificate"
EDGE_HOSTS = f"DNS:localhost,DNS:edge.{NAMESPACE}.svc.cluster.local,IP:127.0.0.1"
OPENSSL_S = 30


def main() -> None:
    """Draw them, or exit with an error."""
    try:
        labels = {"istio-injection": "enabled", "stage": "namespace"}
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
        keep(say=print)
    except ClusterError as error:
        sys.exit(f"secrets: {error}")


def keep(*, say: Callable[[str], None]) -> None:
    """
    Generate the secrets that the namespace does not have; existing ones never change.

    So addresses of other data stores in the secret `stores` are kept.
    """
    known = {each["metadata"]["name"]: _decoded(each["data"]) for each in get("secrets") if each.get("data")}
    for name, keys in DRAWN.items():
        if name not in known:
            known[name] = {key: secrets.token_hex(24) for key in keys}
            _create(name, known[name], say)
    if EDGE not in known:
        _create(EDGE, _self_signed(), say, kind="kubernetes.io/tls")
    if "stores" not in known:
        _create("stores", addresses(known["postgres"]["ORDERS_PASSWORD"], known["redis"]["PASSWORD"]), say)


def addresses(orders_password: str, redis_password: str) -> dict[str, str]:
    """Return the addresses of the data stores in k8s/stores."""
    domain = f"{NAMESPACE}.svc.cluster.local"
    postgres = ",".join(f"postgres-{number}.postgres.{domain}:5432" for number in range(MEMBERS))
    return {
        "DATABASE_URL": f"postgresql://orders:{orders_password}@{postgres}/orders?target_session_attrs=primary",
        "REDIS_URL": f"redis://:{redis_password}@redis.{domain}:6379/0",
        "KAFKA_BROKERS": ",".join(f"kafka-{number}.kafka.{domain}:9092" for number in range(MEMBERS)),
    }


def _self_signed() -> dict[str, str]:
    """Return a self-signed certificate, of which browsers warn."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "tls.key"), Path(folder, "tls.crt")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", "365", "-subj", "/CN=edge", "-addext", f"subjectAltName={EDGE_HOSTS}"]
        command += ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True, timeout=OPENSSL_S)
        return {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}


def _create(name: str, values: Mapping[str, str], say: Callable[[str], None], *, kind: str = "Opaque") -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": dict(values),
    }
    kubectl("create", "-f", "-", stdin=json.dumps(secret))
    say(f"secrets: generated {name}")


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


if __name__ == "__main__":
    main()
