"""
The data stores' configuration files as text: pure functions of the plan and of the descriptions in stores/.
"""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from stack.topology import alertmanager, backups, exporters, prober, traces
from stack.topology.addresses import Endpoint, Host, Port
from stack.topology.plan import REPLICAS, Plan
from stack.topology.workloads import EDGE, NAMESPACE, PAGES, SERVICES
from stores import files


def redis(plan: Plan, *, instead: str | None = None, further: Sequence[str] = ()) -> str:
    """
    Return the common settings of Redis and this instance's own, with the plan's password, the one *instead* of it,
    and *further* ones.
    """
    passwords = (instead or plan.passwords.redis, *further)
    listen = plan.network.at(Host.REDIS, Port.REDIS)
    return files.redis() + _lines(
        f"bind {listen.address}",
        f"port {listen.port}",
        f"user default on {' '.join(f'>{each}' for each in passwords)} {files.redis_rights()}",
        f"user {files.ADMINISTRATOR} on >{plan.passwords.redis_admin} ~* &* +@all",
        f"user {files.MONITOR} on >{plan.passwords.monitor} {files.REDIS_MONITOR_RIGHTS}",
        f"dir {plan.settings.data}/redis-0",
    )


def kafka(plan: Plan, broker: int) -> str:
    """Return the configuration of a broker."""
    return files.kafka(
        broker,
        listen=str(plan.network.at(Host.KAFKA, Port.KAFKA, broker)),
        controllers=[str(plan.network.at(Host.KAFKA, Port.KAFKA_CONTROLLER, each)) for each in plan.brokers],
        data=f"{plan.settings.data}/kafka-{broker}",
    )


def patroni(plan: Plan, member: int) -> str:
    """
    Return the configuration of one member of the PostgreSQL cluster: the common settings, and its name, addresses and
    passwords.
    """
    shared, name = files.patroni(), f"postgres-{member}"
    api = plan.network.at(Host.POSTGRES, Port.PATRONI, member)
    listen = plan.network.at(Host.POSTGRES, Port.POSTGRES, member)
    own = {
        "name": name,
        "restapi": {
            "listen": str(api),
            "connect_address": str(api),
            "authentication": {"username": "patroni", "password": plan.passwords.patroni_api},
        },
        "etcd3": {"host": str(plan.network.at(Host.ETCD, Port.ETCD))},
        "postgresql": shared["postgresql"] | _member(plan, name, listen),
    }
    return yaml.safe_dump(shared | own, sort_keys=False)


def _member(plan: Plan, name: str, listen: Endpoint) -> dict[str, Any]:
    home = f"{plan.settings.data}/{name}"
    superuser = {"username": "postgres", "password": plan.passwords.postgres_superuser}
    return {
        "listen": str(listen),
        "connect_address": str(listen),
        "bin_dir": str(plan.programs.postgres_bin),
        "data_dir": f"{home}/pgdata",
        "pgpass": f"{home}/pgpass",
        "parameters": files.patroni()["postgresql"]["parameters"] | backups.archiving(plan, f"{home}/pgdata"),
        "authentication": {
            "superuser": superuser,
            "replication": {"username": "replicator", "password": plan.passwords.postgres_replication},
            "rewind": superuser,
        },
    }


def prometheus_targets(plan: Plan) -> dict[str, str]:
    """Return Prometheus's target files by name, one for each job."""
    envoys = [_target(plan.network.at(Host.EDGE, Port.ADMIN), "edge", EDGE)]
    applications = []
    for service, host in SERVICES.items():
        for replica in REPLICAS:
            pod = f"{service}-{replica}"
            envoys.append(_target(plan.network.at(host, Port.ADMIN, replica), service, pod))
            applications.append(_target(plan.network.at(host, Port.METRICS, replica), service, pod))
    envoys.append(_target(plan.network.at(Host.PAGES, Port.ADMIN), "pages", PAGES))
    applications.append(_target(plan.network.at(Host.PAGES, Port.METRICS), "pages", PAGES))
    controller = [_target(plan.network.at(Host.MESH, Port.METRICS), "mesh", "mesh")]
    members = [_target(address, "postgres", f"postgres-{member}") for member, address in enumerate(plan.patroni)]
    databases = [_target(exporters.postgres_at(plan, each), "postgres", f"postgres-{each}") for each in plan.members]
    brokers = [_target(exporters.kafka_at(plan, each), "kafka", f"kafka-{each}") for each in plan.brokers]
    itself = [_target(plan.network.at(Host.PROMETHEUS, Port.PROMETHEUS), "prometheus", "prometheus-0")]
    notifier = [_target(alertmanager.listens_at(plan), "alertmanager", alertmanager.NAME)]
    groups = {
        "alertmanagers": notifier if plan.settings.alert_webhook else [],
        "applications": applications,
        "envoys": envoys,
        "patroni": members,
        "postgres": databases,
        "redis": [_target(exporters.redis_at(plan), "redis", "redis-0")],
        "kafka": brokers,
        "node": [_target(exporters.node_at(plan), "node", "node-0")],
        "probe": [_target(prober.listens_at(plan), "prober", prober.NAME)] if plan.settings.probe else [],
        "prometheus": itself,
        "mesh": controller,
    }
    return {f"{name}.json": json.dumps(targets, indent=2) + "\n" for name, targets in groups.items()}


def registry(plan: Plan) -> str:
    """Return the registry of services, workloads and addresses, which in a cluster comes from Kubernetes."""
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
            "extensionProviders": traces.extension_providers(plan),
        },
        sort_keys=False,
    )


def joined_entry(plan: Plan, name: str, place: int) -> str:
    """Return what a service of one's own, which calls others, adds to the registry."""
    network, port = plan.network, Port.SERVICE.value
    workload = {
        "name": f"{name}-0",
        "namespace": NAMESPACE,
        "serviceAccount": name,
        "labels": {"app": name},
        "address": network.address(Host.JOINED, place),
        "admin": str(network.at(Host.JOINED, Port.ADMIN, place)),
        "outbound": [{"port": port, "listen": str(network.at(Host.JOINED, Port.OUTBOUND, place))}],
    }
    return yaml.safe_dump({"workloads": [workload]}, sort_keys=False)


def issuer_entry(plan: Plan) -> str:
    """Return the ServiceEntry of the development issuer, which has no sidecar and so is external to the mesh."""
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
        "labels": {"app": "edge", "istio": "edge", "shop": NAMESPACE},
        "kind": "gateway",
        "address": "127.0.0.1",
        "admin": str(plan.network.at(Host.EDGE, Port.ADMIN)),
        "ports": {Port.EDGE.value: plan.settings.port, Port.EDGE_TLS.value: plan.settings.tls_port},
    }


def _target(endpoint: Endpoint, service: str, pod: str) -> dict[str, Any]:
    return {"targets": [str(endpoint)], "labels": {"service": service, "pod": pod}}


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
