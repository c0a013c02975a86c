"""
The routes of outbound listeners (istio: core/httproute.go).
"""

from collections.abc import Iterator, Mapping

from envoy.config.route.v3 import route_components_pb2 as route
from envoy.config.route.v3 import route_pb2

from translator.config.route.context import Listening, RouteContext
from translator.config.route.route import default_route, http_routes, route_configuration
from translator.model.hosts import host_domains, host_matches, specificity
from translator.model.proxy import Proxy
from translator.model.registry import Outbound
from translator.model.resources import Resource
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
    taken: set[str] = set()
    for host in [*_service_hosts(proxy, listening), *_other_hosts(proxy, listening)]:
        domains = [domain for domain in host.domains if domain not in taken]
        taken.update(domains)
        if domains:
            host.domains[:] = domains
            configuration.virtual_hosts.append(host)
    configuration.virtual_hosts.append(_unknown_host())
    return configuration


def _service_hosts(proxy: Proxy, listening: Listening) -> Iterator[route.VirtualHost]:
    chosen_by_host = speakers(proxy)
    routes: dict[str, list[route.Route]] = {}
    for service in proxy.services.values():
        port = service.port(listening.port)
        if port is None or not port.is_http:
            continue
        speaker = chosen_by_host.get(service.host)
        if speaker and speaker.title not in routes:
            routes[speaker.title] = http_routes(RouteContext(proxy, speaker, listening))
        # A VirtualService without any applicable match is treated as absent.
        chosen = (routes[speaker.title] if speaker else []) or [default_route(proxy, service.host, listening.port)]
        yield _host(service.host, proxy, listening, chosen)


def _other_hosts(proxy: Proxy, listening: Listening) -> Iterator[route.VirtualHost]:
    """
    Return hosts of VirtualServices that are not services, which Istio serves on port 80 only.
    """
    if listening.port != PLAIN_HTTP_PORT:
        return
    for resource in proxy.virtual_services():
        chosen = http_routes(RouteContext(proxy, resource, listening))
        for name in resource.spec.get("hosts", ()):
            host = proxy.full_name(name, resource)
            if chosen and not any(host_matches(host, service) for service in proxy.services):
                yield _host(host, proxy, listening, chosen)


def _host(host: str, proxy: Proxy, listening: Listening, routes: list[route.Route]) -> route.VirtualHost:
    return route.VirtualHost(
        name=f"{host}:{listening.port}",
        domains=list(host_domains(host, proxy.namespace, proxy.registry.cluster_domain)),
        routes=routes,
        include_request_attempt_count=True,
    )


def speakers(proxy: Proxy) -> Mapping[str, Resource]:
    """
    Return the VirtualService of each service: the one with the most specific host, then the oldest.
    """
    exact: dict[str, Resource] = {}
    wildcards: list[tuple[str, Resource]] = []
    for resource in proxy.virtual_services():
        for name in resource.spec.get("hosts", ()):
            host = proxy.full_name(name, resource)
            if host.startswith("*"):
                wildcards.append((host, resource))
            else:
                exact.setdefault(host, resource)
    found = dict(exact)
    for host, resource in sorted(wildcards, key=lambda item: specificity(item[0]), reverse=True):
        for service in proxy.services:
            if host_matches(host, service):
                found.setdefault(service, resource)
    return found


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
