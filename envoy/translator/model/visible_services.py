"""
The services that a workload sees, and what several of one host come to (istio: model/sidecar.go).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from translator.model.hosts import fqdn
from translator.model.resources import Resource
from translator.model.service import Service
from translator.model.values import Block
from translator.model.visibility import exported

ANY_PORT = 0


def visible_services(services: Iterable[Service], client: str) -> list[Service]:
    """
    Return the services shown to namespace *client*, those that are shown to chosen namespaces first.
    """
    shown = [service for service in services if exported(service.export_to, service.namespace, client)]
    return sorted(shown, key=lambda service: "*" in service.export_to)


def of_one_namespace(services: Iterable[Service], client: str) -> list[Service]:
    """
    Return the same with one namespace for each host: the client's, one with a Service of Kubernetes, or the first.
    """
    found = list(services)
    owners: dict[str, Service] = {}
    for service in found:
        other = owners.setdefault(service.host, service)
        better = not other.kubernetes and service.kubernetes and other.namespace != client
        if service.namespace == client or better:
            owners[service.host] = service
    return [service for service in found if owners[service.host].namespace == service.namespace]


def merged(services: Iterable[Service]) -> dict[str, Service]:
    """
    Return one service for each host: Kubernetes' if there is one, else the first with the ports of those like it.
    """
    found: dict[str, Service] = {}
    for service in services:
        other = found.setdefault(service.host, service)
        if service.kubernetes and not other.kubernetes:
            found[service.host] = service
        elif other is not service and _mergeable(other, service):
            numbers = {port.number for port in other.ports}
            more = (port for port in service.ports if port.number not in numbers)
            found[service.host] = replace(other, ports=(*other.ports, *more))
    return found


def _mergeable(one: Service, other: Service) -> bool:
    return all(
        getattr(one, name) == getattr(other, name) for name in ("namespace", "resolution", "kubernetes")
    ) and set(one.export_to) == set(other.export_to)


def destinations(
    resources: Iterable[Resource], client: str, domain: str, services: Iterable[Service]
) -> Iterator[Service]:
    """
    Yield the services to which the routes of VirtualServices lead a *client*, with the ports that they name.
    """
    by_host: dict[str, dict[str, Service]] = {}
    for service in services:
        by_namespace = by_host.setdefault(service.host, {})
        other = by_namespace.setdefault(service.namespace, service)
        if service.kubernetes and not other.kubernetes:
            by_namespace[service.namespace] = service
    for resource in resources:
        for host, ports in _hosts(resource, client, domain).items():
            chosen = _best(by_host.get(host, {}), client)
            limited = _with_ports(chosen, ports) if chosen else None
            if limited:
                yield limited


def _hosts(resource: Resource, client: str, domain: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for block in resource.spec.get("http", ()):
        for destination in (*routed(block), *mirrored(block)) if _is_for(block, client) else ():
            host = fqdn(destination["host"].lower(), resource.namespace, domain)
            found.setdefault(host, set()).add(destination.get("port", {}).get("number", ANY_PORT))
    return found


def _is_for(block: Block, client: str) -> bool:
    """
    Return whether a route can be for *client*: its matches name no source namespace, or the client's.
    """
    named = [match["sourceNamespace"] for match in block.get("match", ()) if match.get("sourceNamespace")]
    return not named or client in named


def routed(block: Block) -> Iterator[Block]:
    """
    Yield the destinations of an HTTP route.
    """
    for route in block.get("route", ()):
        yield route["destination"]


def mirrored(block: Block) -> Iterator[Block]:
    """
    Yield the destinations that get a copy of an HTTP route's calls.
    """
    if "mirror" in block:
        yield block["mirror"]
    for mirror in block.get("mirrors", ()):
        yield mirror["destination"]


def _best(by_namespace: Mapping[str, Service], client: str) -> Service | None:
    """
    Return the service of a host in the client's namespace; else one of Kubernetes that it sees; else the oldest.
    """
    if client in by_namespace:
        return by_namespace[client]
    seen = [service for service in by_namespace.values() if exported(service.export_to, service.namespace, client)]
    return min(seen, key=lambda service: (not service.kubernetes, service.age), default=None)


def _with_ports(service: Service, ports: set[int]) -> Service | None:
    """
    Return a service with only those of its ports that are in *ports*; None if none is.
    """
    if ANY_PORT in ports:
        return service
    kept = tuple(port for port in service.ports if port.number in ports)
    if len(kept) == len(service.ports):
        return service
    return replace(service, ports=kept) if kept else None
