"""
The service behind a port of a workload (istio: model ServiceTarget).
"""

from collections.abc import Mapping

from translator.model.proxy import Proxy
from translator.model.registry import Inbound
from translator.model.service import Port, Service


def inbound_service(proxy: Proxy, inbound: Inbound) -> tuple[Service | None, Port]:
    """
    The service that leads to a port of this workload, and its port there; plain HTTP/2 if none does.
    """
    registry = proxy.registry
    for record in registry.services:
        labels: Mapping[str, str] = record.selector
        if record.namespace != proxy.namespace or not labels or not labels.items() <= proxy.workload.labels.items():
            continue
        service = proxy.mesh.by_host[f"{record.name}.{record.namespace}.svc.{registry.cluster_domain}"]
        for port in service.ports:
            if port.target == inbound.port:
                return service, port
    return None, Port("grpc", inbound.port, "grpc", inbound.port)
