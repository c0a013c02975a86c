"""
Checks whether a process is healthy, by the check of its kind, within two seconds.
"""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from grpc_health.v1 import health_pb2
from redis import Redis
from redis.exceptions import RedisError

from stack.topology.addresses import Endpoint
from stack.topology.checks import Check, GrpcCheck, HttpCheck, KafkaCheck, MeshCheck, PatroniCheck, RedisCheck

TIMEOUT_S = 2.0
HEALTH_CHECK = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True)
class Health:
    """The result of a health check: healthy or not, and a detail."""

    good: bool
    word: str


def ask(check: Check) -> Health:
    """
    Return the health that *check* finds; never raises, whatever state the process is in.
    """
    return _KINDS[type(check)](check)


def _http(check: HttpCheck) -> Health:
    status, _ = get(check.endpoint, check.path)
    return Health(status == http.client.OK, "healthy" if status == http.client.OK else f"HTTP {status}")


def _patroni(check: PatroniCheck) -> Health:
    status, body = get(check.endpoint, "/patroni")
    if status == 0:
        return Health(False, "no answer")
    try:
        member: dict[str, Any] = json.loads(body)
    except ValueError:
        return Health(False, f"HTTP {status}")
    role, state = str(member.get("role", "unknown")), str(member.get("state", "unknown"))
    if role in ("primary", "master"):
        return Health(state == "running", "primary" if state == "running" else state)
    if "sync_standby" in member or member.get("replication_state") == "streaming":
        return Health(True, "replica, synchronous" if member.get("sync_standby") else "replica")
    return Health(False, f"{role}, {state}")


def _grpc(check: GrpcCheck) -> Health:
    with grpc.insecure_channel(str(check.endpoint), [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            check_now = channel.unary_unary(
                HEALTH_CHECK,
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            answer = check_now(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return Health(False, f"status {error.code().name}")
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return Health(serving, "healthy" if serving else health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _redis(check: RedisCheck) -> Health:
    endpoint = check.endpoint
    try:
        with Redis(
            host=endpoint.address,
            port=endpoint.port,
            password=check.password,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        ) as redis:
            redis.ping()
    except (RedisError, OSError) as error:
        return Health(False, str(error)[:60])
    return Health(True, "healthy")


def _kafka(check: KafkaCheck) -> Health:
    quiet: dict[str, str | int | float | bool] = {
        "bootstrap.servers": str(check.endpoint),
        "log_level": 0,
        "socket.timeout.ms": int(TIMEOUT_S * 1000),
    }
    try:
        brokers = AdminClient(quiet).list_topics(timeout=TIMEOUT_S).brokers.values()
    except KafkaException:
        return Health(False, "no answer")
    # A broker answers before the controller has let it in, and after it has shut it out.
    known = any(f"{each.host}:{each.port}" == str(check.endpoint) for each in brokers)
    return Health(known, "healthy" if known else "not in the cluster")


def _mesh(check: MeshCheck) -> Health:
    try:
        status: dict[str, Any] = json.loads(check.status.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Health(False, "no status written yet")
    except ValueError:
        return Health(False, "status is unreadable")
    if error := status.get("error"):
        return Health(False, str(error).splitlines()[0])
    stale = {name: each["stale"] for name, each in status.get("workloads", {}).items() if each.get("stale")}
    stale_files = "; ".join(f"the Envoy of {name} has not loaded {', '.join(files)}" for name, files in stale.items())
    return Health(not stale, stale_files or "healthy")


def mesh_status(file: Path) -> dict[str, Any]:
    """Return what the mesh's controller says of itself; empty while it says nothing that can be read."""
    try:
        status: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return status


_KINDS: dict[type[Any], Callable[[Any], Health]] = {
    HttpCheck: _http,
    PatroniCheck: _patroni,
    GrpcCheck: _grpc,
    RedisCheck: _redis,
    KafkaCheck: _kafka,
    MeshCheck: _mesh,
}


def get(endpoint: Endpoint, path: str, *, max_bytes: int = 65536, timeout_s: float = TIMEOUT_S) -> tuple[int, bytes]:
    """Return status and body; status 0 if there is no answer."""
    connection = http.client.HTTPConnection(endpoint.address, endpoint.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(max_bytes)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
