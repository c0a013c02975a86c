"""
The routes of outbound listeners (istio: core/httproute.go).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from envoy.config.route.v3 import route_components_pb2 as route
from envoy.config.route.v3 import route_pb2

from translator.config.route.context import Listening, RouteContext
from translator.config.route.route import default_route, http_routes, route_configuration
from translator.model.hosts import host_domains, most_specific, overlap
from translator.model.proxy import Proxy
from translator.model.registry import Outbound
from translator.model.resources import Resource
from translator.model.service import Service
from translator.model.virtual_service import MESH

UNKNOWN_HOST_STATUS = 502
PLAIN_HTTP_PORT = 80


def outbound_routes(proxy: Proxy) -> Iterator[route_pb2.RouteConfiguration]:
    """
    Yield the routes of each outbound listener.
    """
    for outbound in proxy.workload.outbound:
        yield _configuration(proxy, outbound)


def _configuration(proxy: Proxy, outbound: Outbound) -> route_pb2.RouteConfiguration:
    configuration = route_configuration(str(outbound.port))
    listening = Listening(frozenset({MESH}), outbound.port)
    hosts: dict[str, route.VirtualHost] = {}
    taken: set[str] = set()
    spoken = list(_spoken(proxy, listening))
    known = {service.host for speech in spoken for service in speech.services}
    for speech in spoken:
        for host in [*_other_hosts(speech, listening), *_service_hosts(speech, proxy, listening, known)]:
            if host.name in hosts:
                continue
            host.domains[:] = [domain for domain in host.domains if domain not in taken]
            taken.update(host.domains)
            hosts[host.name] = host
    configuration.virtual_hosts.extend(hosts[name] for name in sorted(hosts) if hosts[name].domains)
    configuration.virtual_hosts.append(_unknown_host())
    return configuration


@dataclass(frozen=True)
class Speech:
    """
    The routes of one VirtualService, or those of a service without one, with the hosts that they are for.
    """

    services: tuple[Service, ...]
    others: tuple[str, ...]
    routes: list[route.Route]


def _spoken(proxy: Proxy, listening: Listening) -> Iterator[Speech]:
    """
    Yield the routes of VirtualServices in their order, then every service that none of them names.
    """
    services = {s.host: s for s in proxy.imported_services if s.port(listening.port) is not None}
    nearest = {host: resource.title for host, resource in speakers(proxy).items()}
    silent = dict(services)
    for resource in proxy.virtual_services():
        mine, others = _hosts(proxy, resource, services, nearest)
        routes = http_routes(RouteContext(proxy, resource, listening)) if mine or others else []
        http = tuple(service for service in mine if _is_http(service, listening))
        # Where no service is called, hosts are known on the port of plain HTTP alone.
        if routes and (http or listening.port == PLAIN_HTTP_PORT):
            for service in http:
                silent.pop(service.host, None)
            yield Speech(http, tuple(others), routes)
    for service in silent.values():
        if _is_http(service, listening):
            yield Speech((service,), (), [default_route(proxy, service.host, listening.port)])


def _is_http(service: Service, listening: Listening) -> bool:
    port = service.port(listening.port)
    return port is not None and port.is_http


def _hosts(
    proxy: Proxy, resource: Resource, services: Mapping[str, Service], nearest: Mapping[str, str]
) -> tuple[list[Service], list[str]]:
    """
    Return the services that a VirtualService's hosts name, and its hosts that name none.
    """
    mine: list[Service] = []
    others: list[str] = []
    hosts = proxy.hosts_of(resource)
    for host in sorted(hosts, key=lambda item: item.startswith("*")):
        if not host.startswith("*"):
            if host in services:
                mine.append(services[host])
            else:
                others.append(host)
            continue
        inside = [service for service in services.values() if overlap(host, service.host)]
        mine += [service for service in inside if nearest.get(service.host) == resource.title]
        if not inside:
            others.append(host)
    return mine, others


def speakers(proxy: Proxy) -> Mapping[str, Resource]:
    """
    Return the VirtualService of each host: the one with the most specific host, then the first that the workload sees.
    """
    by_host: dict[str, Resource] = {}
    for resource in proxy.virtual_services():
        for host in proxy.hosts_of(resource):
            by_host.setdefault(host, resource)
    found = {host: resource for host, resource in by_host.items() if not host.startswith("*")}
    for service in proxy.imported_services:
        nearest = most_specific(service.host, by_host)
        if nearest:
            found[service.host] = nearest
    return found


def _other_hosts(speech: Speech, listening: Listening) -> Iterator[route.VirtualHost]:
    for host in speech.others:
        yield _host(host, [host], listening, speech.routes)


def _service_hosts(speech: Speech, proxy: Proxy, listening: Listening, known: set[str]) -> Iterator[route.VirtualHost]:
    for service in speech.services:
        host = service.host
        domains = host_domains(host, proxy.namespace, proxy.registry.cluster_domain)
        # A short form must not hide another service of that very name.
        own = [domain for domain in domains if domain == host or domain not in known]
        yield _host(host, own, listening, speech.routes)


def _host(host: str, domains: list[str], listening: Listening, routes: list[route.Route]) -> route.VirtualHost:
    return route.VirtualHost(
        name=f"{host}:{listening.port}", domains=domains, routes=routes, include_request_attempt_count=True
    )


def _unknown_host() -> route.VirtualHost:
    """
    Return the virtual host that rejects unknown hosts: without interception there is no original destination to pass
    calls through to.
    """
    refusal = route.Route(
        name="block_all",
        match=route.RouteMatch(prefix="/"),
        direct_response=route.DirectResponseAction(status=UNKNOWN_HOST_STATUS),
    )
    return route.VirtualHost(name="block_all", domains=["*"], routes=[refusal], include_request_attempt_count=True)
