"""
A registry as the objects that Kubernetes would have of it.
"""

from typing import Any

import yaml

from translator.model.registry import Registry, ServiceRecord, Workload


def objects(registry: Registry, namespaces: tuple[str, ...]) -> str:
    """
    Return the Namespaces, Services, Pods and EndpointSlices of a registry, as YAML documents.
    """
    found: list[dict[str, Any]] = [_object("v1", "Namespace", name, "") for name in namespaces]
    found += [_pod(workload) for workload in registry.workloads]
    for record in registry.services:
        found += [_service(record), _slice(registry, record)]
    return yaml.safe_dump_all(found, sort_keys=False)


def proxies(registry: Registry) -> list[dict[str, Any]]:
    """
    Return the registry's workloads as those whose Envoy is asked for, gateways first.

    A gateway that comes after a sidecar of its namespace without a Sidecar resource is given that sidecar's services by
    istiod, else its own choice of them (model/push_context.go, doGetSidecarScope); the translator has its own.
    """
    return [
        {
            "name": workload.name,
            "namespace": workload.namespace,
            "labels": dict(workload.labels),
            "ip": workload.address,
            "type": workload.kind,
            "sa": workload.service_account,
        }
        for workload in sorted(registry.workloads, key=lambda item: item.kind != "gateway")
    ]


def _object(version: str, kind: str, name: str, namespace: str, **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **rest.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _pod(workload: Workload) -> dict[str, Any]:
    labels = {**workload.labels, "security.istio.io/tlsMode": "istio"}
    status = {
        "podIP": workload.address,
        "podIPs": [{"ip": workload.address}],
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    return _object(
        "v1",
        "Pod",
        workload.name,
        workload.namespace,
        metadata={"labels": labels},
        spec={"serviceAccountName": workload.service_account, "containers": [{"name": "app"}]},
        status=status,
    )


def _service(record: ServiceRecord) -> dict[str, Any]:
    ports = [{"name": port.name, "port": port.number, "targetPort": port.target} for port in record.ports]
    spec = {"ports": ports, "selector": dict(record.selector), "clusterIP": _virtual_ip(record)}
    return _object("v1", "Service", record.name, record.namespace, spec=spec)


def _virtual_ip(record: ServiceRecord) -> str:
    return f"10.96.0.{1 + sum(record.name.encode()) % 250}"


def _slice(registry: Registry, record: ServiceRecord) -> dict[str, Any]:
    own = [workload for workload in registry.workloads if workload.namespace == record.namespace]
    chosen = [workload for workload in own if record.selector.items() <= workload.labels.items()]
    endpoints = [
        {
            "addresses": [workload.address],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": workload.name, "namespace": workload.namespace},
        }
        for workload in chosen
    ]
    return _object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        record.name,
        record.namespace,
        metadata={"labels": {"kubernetes.io/service-name": record.name}},
        addressType="IPv4",
        ports=[{"name": port.name, "port": port.target} for port in record.ports],
        endpoints=endpoints,
    )
