"""
The health checks, one small description for each kind of process.
"""

from dataclasses import dataclass
from pathlib import Path

from stack.topology.addresses import Endpoint


@dataclass(frozen=True)
class HttpCheck:
    """Healthy when a GET returns 200."""

    endpoint: Endpoint
    path: str


@dataclass(frozen=True)
class PatroniCheck:
    """Healthy when Patroni reports a running primary or a streaming replica."""

    endpoint: Endpoint


@dataclass(frozen=True)
class GrpcCheck:
    """Healthy when the standard health service reports SERVING for the whole server."""

    endpoint: Endpoint


@dataclass(frozen=True)
class RedisCheck:
    """Healthy when PING is answered and nothing is being loaded."""

    endpoint: Endpoint
    password: str


@dataclass(frozen=True)
class KafkaCheck:
    """Healthy when the broker answers a request for the cluster's metadata, and is in it."""

    endpoint: Endpoint


@dataclass(frozen=True)
class MeshCheck:
    """Healthy when the mesh controller's status file reports no error."""

    status: Path


Check = HttpCheck | PatroniCheck | GrpcCheck | RedisCheck | KafkaCheck | MeshCheck
