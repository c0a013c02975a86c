"""
What it means that a process is healthy: one small description for each kind of process.
"""

from dataclasses import dataclass
from pathlib import Path

from stack.topology.addresses import Endpoint


@dataclass(frozen=True)
class HttpCheck:
    """GET answers 200."""

    endpoint: Endpoint
    path: str


@dataclass(frozen=True)
class PatroniCheck:
    """PostgreSQL runs as primary or as a streaming replica, says Patroni."""

    endpoint: Endpoint


@dataclass(frozen=True)
class GrpcCheck:
    """The standard health service says SERVING for the whole server."""

    endpoint: Endpoint


@dataclass(frozen=True)
class RedisCheck:
    """PING is answered and nothing is being loaded."""

    endpoint: Endpoint
    password: str


@dataclass(frozen=True)
class KafkaCheck:
    """The broker answers for the cluster's metadata."""

    endpoint: Endpoint


@dataclass(frozen=True)
class MeshCheck:
    """The mesh controller's status file reports no error."""

    status: Path


Check = HttpCheck | PatroniCheck | GrpcCheck | RedisCheck | KafkaCheck | MeshCheck
