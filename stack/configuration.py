"""
The data stores' configuration files, as text: pure functions of the plan.
"""

import json
from typing import Any

import yaml

from stack.addresses import Endpoint, Host, Port
from stack.plan import REPLICAS, Plan
from stack.workloads import EDGE, NAMESPACE, PAGES, SERVICES

CLUSTER = "shop"
REDIS_BYTES = 256 * 1024 * 1024
KAFKA_RETENTION_HOURS = 7 * 24
KAFKA_SEGMENT_BYTES = 64 * 1024 * 1024


def redis(plan: Plan) -> str:
    """Redis with every write synced before its answer; what does not fit is refused, never evicted."""
    listen = plan.network.at(Host.REDIS, Port.REDIS)
    return _lines(
        f"bind {listen.address}",
        f"port {listen.port}",
        f"requirepass {plan.passwords.redis}",
        f"dir {plan.settings.data}/redis-0",
        "appendonly yes",
        "appendfsync always",
        'save ""',
        f"maxmemory {REDIS_BYTES}",
        "maxmemory-policy noeviction",
        "maxclients 1000",
        "daemonize no",
        "protected-mode yes",
    )


def kafka(plan: Plan) -> str:
    """One broker: topics exist only when made on purpose, and keep seven days."""
    listen = plan.network.at(Host.KAFKA, Port.KAFKA)
    controller = plan.network.at(Host.KAFKA, Port.KAFKA_CONTROLLER)
    return _lines(
        "process.roles=broker,controller",
        "node.id=1",
        f"controller.quorum.voters=1@{controller}",
        "controller.listener.names=CONTROLLER",
        f"listeners=PLAINTEXT://{listen},CONTROLLER://{controller}",
        f"advertised.listeners=PLAINTEXT://{listen}",
        "inter.broker.listener.name=PLAINTEXT",
        f"log.dirs={plan.settings.data}/kafka-0",
        "auto.create.topics.enable=false",
        f"log.retention.hours={KAFKA_RETENTION_HOURS}",
        f"log.segment.bytes={KAFKA_SEGMENT_BYTES}",
        "num.partitions=4",
        "default.replication.factor=1",
        "min.insync.replicas=1",
        "offsets.topic.replication.factor=1",
        "offsets.topic.num.partitions=4",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.num.partitions=4",
        "transaction.state.log.min.isr=1",
        "share.coordinator.state.topic.replication.factor=1",
        "share.coordinator.state.topic.min.isr=1",
        # After a kill the broker is let in again once its last session has ended.
        "broker.session.timeout.ms=4000",
        "broker.heartbeat.interval.ms=1000",
        # A group's first member need not wait for others that may never come.
        "group.initial.rebalance.delay.ms=0",
    )


def patroni(plan: Plan, replica: int) -> str:
    """
    One member of the PostgreSQL cluster.

    The times are the ones measured for a failover in under three seconds: a leader that died is
    not started again in place (primary_start_timeout 0), the synchronous replica takes over.
    """
    name = f"postgres-{replica}"
    api = plan.network.at(Host.POSTGRES, Port.PATRONI, replica)
    listen = plan.network.at(Host.POSTGRES, Port.POSTGRES, replica)
    return yaml.safe_dump(
        {
            "scope": CLUSTER,
            "name": name,
            "restapi": {
                "listen": str(api),
                "connect_address": str(api),
                "authentication": {"username": "patroni", "password": plan.passwords.patroni_api},
            },
            "etcd3": {"host": str(plan.network.at(Host.ETCD, Port.ETCD))},
            "bootstrap": {
                "dcs": _cluster_settings(),
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
            },
            "postgresql": _member(plan, name, listen),
            "watchdog": {"mode": "off"},
            "log": {"level": "INFO"},
        },
        sort_keys=False,
    )


def _cluster_settings() -> dict[str, Any]:
    """What the members agree on, kept in etcd; seconds where it is a time."""
    return {
        "ttl": 20,
        "loop_wait": 2,
        "retry_timeout": 3,
        "primary_start_timeout": 0,
        "maximum_lag_on_failover": 1024 * 1024,
        "synchronous_mode": True,
        # Without etcd the primary goes on as long as it reaches every member.
        "failsafe_mode": True,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {
                "max_connections": 200,
                "shared_buffers": "64MB",
                "synchronous_commit": "on",
                "wal_keep_size": "128MB",
                "max_wal_size": "512MB",
                "max_slot_wal_keep_size": "512MB",
                "idle_in_transaction_session_timeout": "60s",
            },
        },
    }


def _member(plan: Plan, name: str, listen: Endpoint) -> dict[str, Any]:
    home = f"{plan.settings.data}/{name}"
    superuser = {"username": "postgres", "password": plan.passwords.postgres_superuser}
    return {
        "listen": str(listen),
        "connect_address": str(listen),
        "bin_dir": str(plan.programs.postgres_bin),
        "data_dir": f"{home}/pgdata",
        "pgpass": f"{home}/pgpass",
        "authentication": {
            "superuser": superuser,
            "replication": {"username": "replicator", "password": plan.passwords.postgres_replication},
            "rewind": superuser,
        },
        "basebackup": [{"checkpoint": "fast"}],
        "parameters": {"unix_socket_directories": ""},
        "pg_hba": [
            "host replication replicator 127.0.0.0/8 scram-sha-256",
            "host all postgres 127.0.0.0/8 scram-sha-256",
            "host orders orders 127.0.0.0/8 scram-sha-256",
        ],
    }


def prometheus_targets(plan: Plan) -> dict[str, str]:
    """Prometheus's target files by name, one for each job."""
    envoys = [_target(plan.network.at(Host.EDGE, Port.ADMIN), "edge", EDGE)]
    applications = []
    for service, host in SERVICES.items():
        for replica in REPLICAS:
            pod = f"{service}-{replica}"
            envoys.append(_target(plan.network.at(host, Port.ADMIN, replica), service, pod))
            applications.append(_target(plan.network.at(host, Port.METRICS, replica), service, pod))
    envoys.append(_target(plan.network.at(Host.PAGES, Port.ADMIN), "pages", PAGES))
    applications.append(_target(plan.network.at(Host.PAGES, Port.METRICS), "pages", PAGES))
    members = [_target(address, "postgres", f"postgres-{replica}") for replica, address in enumerate(plan.patroni)]
    itself = [_target(plan.network.at(Host.PROMETHEUS, Port.PROMETHEUS), "prometheus", "prometheus-0")]
    groups = {"applications": applications, "envoys": envoys, "patroni": members, "prometheus": itself}
    return {f"{name}.json": json.dumps(targets, indent=2) + "\n" for name, targets in groups.items()}


def registry(plan: Plan) -> str:
    """What the mesh would know from Kubernetes: services, workloads, addresses."""
    return yaml.safe_dump(
        {
            "trustDomain": "cluster.local",
            "clusterDomain": "cluster.local",
            "rootNamespace": "istio-system",
            "namespaces": {NAMESPACE: {}, "istio-system": {}},
            "services": [
                *(_service(name, "grpc", Port.SERVICE) for name in SERVICES),
                _service("pages", "http", Port.PAGES),
            ],
            "workloads": [
                *(_workload(plan, name, replica) for name in SERVICES for replica in REPLICAS),
                _pages(plan),
                _edge(plan),
            ],
            "credentials": [{"name": "edge-certificate", "hosts": ["localhost", "127.0.0.1"]}],
        },
        sort_keys=False,
    )


def issuer_entry(plan: Plan) -> str:
    """The development issuer has no sidecar, so the mesh knows it as Istio knows what is outside."""
    endpoint = plan.network.at(Host.ISSUER, Port.ISSUER)
    return yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "issuer", "namespace": NAMESPACE},
            "spec": {
                "hosts": [f"issuer.{NAMESPACE}.svc.cluster.local"],
                "location": "MESH_EXTERNAL",
                "resolution": "STATIC",
                "ports": [{"number": 8080, "name": "http", "protocol": "HTTP"}],
                "endpoints": [{"address": endpoint.address, "ports": {"http": endpoint.port}}],
            },
        },
        sort_keys=False,
    )


def _service(name: str, protocol: str, port: Port) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "selector": {"app": name},
        "ports": [{"name": protocol, "port": port.value}],
    }


def _workload(plan: Plan, service: str, replica: int) -> dict[str, Any]:
    host, network = SERVICES[service], plan.network
    port = Port.SERVICE.value
    return {
        "name": f"{service}-{replica}",
        "namespace": NAMESPACE,
        "serviceAccount": service,
        "labels": {"app": service, "version": "v1"},
        "address": network.address(host, replica),
        "admin": str(network.at(host, Port.ADMIN, replica)),
        "inbound": [{"port": port, "application": str(network.at(host, Port.APPLICATION, replica))}],
        "outbound": [{"port": port, "listen": str(network.at(host, Port.OUTBOUND, replica))}],
    }


def _pages(plan: Plan) -> dict[str, Any]:
    network = plan.network
    application = str(network.at(Host.PAGES, Port.PAGES_APPLICATION))
    return {
        "name": PAGES,
        "namespace": NAMESPACE,
        "serviceAccount": "pages",
        "labels": {"app": "pages", "version": "v1"},
        "address": network.address(Host.PAGES),
        "admin": str(network.at(Host.PAGES, Port.ADMIN)),
        "inbound": [{"port": Port.PAGES.value, "application": application, "health": "/healthz"}],
        "outbound": [{"port": Port.SERVICE.value, "listen": str(network.at(Host.PAGES, Port.OUTBOUND))}],
    }


def _edge(plan: Plan) -> dict[str, Any]:
    return {
        "name": EDGE,
        "namespace": NAMESPACE,
        "serviceAccount": "edge",
        "labels": {"app": "edge", "istio": "edge"},
        "kind": "gateway",
        "address": "127.0.0.1",
        "admin": str(plan.network.at(Host.EDGE, Port.ADMIN)),
        "ports": {Port.EDGE.value: plan.settings.port, Port.EDGE_TLS.value: plan.settings.tls_port},
    }


def _target(endpoint: Endpoint, service: str, pod: str) -> dict[str, Any]:
    return {"targets": [str(endpoint)], "labels": {"service": service, "pod": pod}}


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
