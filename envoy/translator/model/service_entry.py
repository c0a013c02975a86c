"""
ServiceEntries and WorkloadEntries as services (istio: serviceregistry/serviceentry/conversion.go).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from translator.model.registry import Registry, is_ip
from translator.model.resources import Resource
from translator.model.service import Endpoint, Port, Service, protocol_of, workload_endpoint
from translator.model.values import Block

ISTIO_TLS_LABEL = "security.istio.io/tlsMode"


def entry_services(
    registry: Registry, entries: Iterable[Resource], workload_entries: Iterable[Resource]
) -> Iterator[Service]:
    """
    Yield one service for each host of each ServiceEntry.
    """
    others = tuple(workload_entries)
    for entry in entries:
        spec = entry.spec
        ports = tuple(_entry_port(port) for port in spec.get("ports", ()))
        endpoints = tuple(_entry_endpoints(registry, entry, others))
        for host in spec["hosts"]:
            service = Service(
                host=host.lower(),
                namespace=entry.namespace,
                ports=ports,
                endpoints=endpoints,
                resolution=spec.get("resolution", "NONE"),
                external=spec.get("location", "MESH_EXTERNAL") == "MESH_EXTERNAL",
                export_to=tuple(spec.get("exportTo", ())) or ("*",),
                identities=tuple(sorted({e.identity for e in endpoints if e.identity})),
                subject_alt_names=tuple(spec.get("subjectAltNames", ())),
                kubernetes=False,
                created=entry.created,
            )
            # Of those that a selector chooses there may be none yet.
            yield service if "workloadSelector" in spec else replace(service, endpoints=_resolved_by_name(service))


def _entry_port(port: Block) -> Port:
    protocol = str(port.get("protocol", "")).lower() or protocol_of(port["name"])
    return Port(port["name"], port["number"], protocol, port.get("targetPort", port["number"]))


def _entry_endpoints(registry: Registry, entry: Resource, others: tuple[Resource, ...]) -> Iterator[Endpoint]:
    for block in entry.spec.get("endpoints", ()):
        yield _entry_endpoint(registry, entry.namespace, block)
    if "workloadSelector" not in entry.spec:
        return
    # Without labels it selects every workload of the namespace.
    selector = entry.spec["workloadSelector"].get("labels", {})
    for other in others:
        labels = other.spec.get("labels", {})
        if other.namespace == entry.namespace and selector.items() <= labels.items():
            yield _entry_endpoint(registry, other.namespace, other.spec)
    for workload in registry.workloads:
        if workload.namespace == entry.namespace and selector.items() <= workload.labels.items():
            yield workload_endpoint(registry, workload)


def _entry_endpoint(registry: Registry, namespace: str, block: Block) -> Endpoint:
    account = block.get("serviceAccount")
    labels = block.get("labels", {})
    return Endpoint(
        address=block["address"],
        labels=labels,
        ports=block.get("ports", {}),
        identity=f"spiffe://{registry.trust_domain}/ns/{namespace}/sa/{account}" if account else "",
        namespace=namespace,
        # A service account says that there is one, unless the label says otherwise.
        sidecar=labels[ISTIO_TLS_LABEL] == "istio" if ISTIO_TLS_LABEL in labels else bool(account),
        weight=block.get("weight", 0),
    )


def _resolved_by_name(service: Service) -> tuple[Endpoint, ...]:
    """
    Return the endpoint of a host without endpoints: its own name, for DNS.
    """
    if service.endpoints or service.resolution == "NONE" or service.host.startswith("*"):
        return service.endpoints
    if service.resolution == "STATIC" and not is_ip(service.host):
        return ()
    return (Endpoint(service.host),)
