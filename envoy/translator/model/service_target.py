"""
The services behind a port of a workload (istio: model ServiceTarget).
"""

from collections.abc import Iterator, Mapping

from translator.model.proxy import Proxy
from translator.model.registry import Inbound
from translator.model.service import Port, Service


def service_targets(proxy: Proxy, inbound: Inbound) -> Iterator[tuple[Service, Port]]:
    """
    Return every service that targets a port of this workload, with its port there.
    """
    registry = proxy.registry
    for record in registry.services:
        labels: Mapping[str, str] = record.selector
        if record.namespace != proxy.namespace or not labels or not labels.items() <= proxy.workload.labels.items():
            continue
        service = proxy.mesh.of_registry[f"{record.name}.{record.namespace}.svc.{registry.cluster_domain}"]
        for port in service.ports:
            if port.target == inbound.port:
                yield service, port


def inbound_service(proxy: Proxy, inbound: Inbound) -> tuple[Service | None, Port]:
    """
    Return the service that determines a port of this workload, with its port there; plain HTTP/2 if none targets it.
    """
    return next(service_targets(proxy, inbound), (None, Port("grpc", inbound.port, "grpc", inbound.port)))
