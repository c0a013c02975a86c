"""
The addresses: each workload has a loopback address of its own, like the IP of a pod.

127.N.S.R is network N, service S, replica R from 1, so the ports are the same for every pod.
"""

from dataclasses import dataclass
from enum import IntEnum


class Host(IntEnum):
    """S of 127.N.S.R."""

    EDGE = 0
    ORDERS = 1
    INVENTORY = 2
    PAGES = 3
    POSTGRES = 10
    ETCD = 11
    REDIS = 12
    KAFKA = 13
    PROMETHEUS = 14
    ISSUER = 15
    MESH = 16
    TRACES = 17
    ALERTMANAGER = 18
    PROBER = 19
    NODE = 20
    JOINED = 40  # services of one's own, each with an R of its own


class Port(IntEnum):
    """The ports that all pods of a kind have."""

    SERVICE = 50051  # a sidecar's inbound listener, mutual TLS
    APPLICATION = 50061  # the application behind its sidecar, plaintext
    OUTBOUND = 15001  # a sidecar's listener for its own application
    ADMIN = 15000  # Envoy's administration
    METRICS = 9464
    PAGES = 8081  # the pages' sidecar's inbound listener
    PAGES_APPLICATION = 8091
    EDGE = 8080  # the Gateway's ports in Istio's files
    EDGE_TLS = 8443
    ISSUER = 8082
    POSTGRES = 5432
    PATRONI = 8008
    ETCD = 2379
    ETCD_PEER = 2380
    REDIS = 6379
    KAFKA = 9092
    KAFKA_CONTROLLER = 9093
    PROMETHEUS = 9090
    TRACES = 9411  # Zipkin's page and its API
    OTLP = 4317  # where spans are taken
    ALERTMANAGER = 9193
    POSTGRES_METRICS = 9187
    REDIS_METRICS = 9121
    KAFKA_METRICS = 9404
    NODE_METRICS = 9100


@dataclass(frozen=True, order=True)
class Endpoint:
    """An address and a port that a process listens on."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Network:
    """The addresses of one stack."""

    number: int

    def address(self, host: Host, replica: int = 0) -> str:
        """Return the address of a replica, counted from 0."""
        return f"127.{self.number}.{host.value}.{replica + 1}"

    def at(self, host: Host, port: Port, replica: int = 0) -> Endpoint:
        """Return one port of a replica."""
        return Endpoint(self.address(host, replica), port.value)
