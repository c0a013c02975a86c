"""
VirtualService `http` -> Envoy's routes (istio: networking/core/route/route.go).
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as route
from google.protobuf import duration_pb2, struct_pb2

from translator import cors, fault
from translator.headers import HeaderOperations, header_operations
from translator.match import is_catch_all, route_match
from translator.mesh import Proxy, full_gateway
from translator.names import outbound_cluster
from translator.problems import BlockError, attributed, within
from translator.resources import Resource
from translator.retry import retry_policy
from translator.traffic import consistent_hash_of, hash_policy
from translator.values import Block, boolean, duration, hundredths, millionths, packed, regex

NO_TIMEOUT = duration_pb2.Duration()
REDIRECTS = {301: 0, 302: 1, 303: 2, 307: 3, 308: 4}


@dataclass(frozen=True)
class Listening:
    """
    Where the routes will be used: through which gateways, on which port, with TLS or not.
    """

    gateways: frozenset[str]
    port: int
    tls: bool = False


def http_routes(proxy: Proxy, resource: Resource, listening: Listening) -> list[route.Route]:
    """
    The routes of a VirtualService for one proxy, up to the first that matches everything.
    """
    routes: list[route.Route] = []
    for number, block in enumerate(resource.spec.get("http", ())):
        for match in block.get("match") or [None]:
            with attributed(resource), within(f"spec.http[{number}]"):
                if not _applies(proxy, resource, match, listening):
                    continue
                routes.append(build_route(proxy, resource, block, match, listening))
            if is_catch_all(routes[-1].match):
                return routes
    return routes


def default_route(proxy: Proxy, host: str, port: int) -> route.Route:
    """
    The route to a service for which no VirtualService speaks, with Istio's default retries.
    """
    hash_block = consistent_hash_of(proxy.destination_rule(host), "", port)
    action = route.RouteAction(
        cluster=outbound_cluster(port, "", host), timeout=NO_TIMEOUT, max_grpc_timeout=NO_TIMEOUT
    )
    action.retry_policy.CopyFrom(retry_policy(None, consistent_hash=False))
    action.hash_policy.extend(hash_policy(hash_block))
    operation = route.Decorator(operation=f"{host}:{port}/*")
    return route.Route(name="default", match=route_match(None), route=action, decorator=operation)


def _applies(proxy: Proxy, resource: Resource, match: Block | None, listening: Listening) -> bool:
    """
    Whether a match can hold at this proxy, by what Istio's control plane decides: port, gateways and source.
    """
    if match is None:
        return True
    if match.get("port", 0) not in (0, listening.port):
        return False
    if match.get("gateways"):
        return bool({full_gateway(name, resource.namespace) for name in match["gateways"]} & listening.gateways)
    labels = match.get("sourceLabels", {})
    return labels.items() <= proxy.workload.labels.items() and match.get("sourceNamespace", proxy.namespace) in (
        "",
        proxy.namespace,
    )


def build_route(
    proxy: Proxy, resource: Resource, block: Block, match: Block | None, listening: Listening
) -> route.Route:
    """
    The route of one match, or of none.
    """
    name = ".".join(filter(None, [block.get("name", ""), (match or {}).get("name", "")]))
    result = route.Route(name=name, match=route_match(match), metadata=config_metadata(resource))
    result.stat_prefix = (match or {}).get("statPrefix", "")
    operations = header_operations(block.get("headers"))
    operations.apply(result)
    if "redirect" in block:
        result.redirect.CopyFrom(_redirect(block["redirect"], listening))
    elif "directResponse" in block:
        result.direct_response.CopyFrom(_direct_response(block["directResponse"]))
    else:
        _set_action(result, proxy, resource, block, listening, operations)
    result.decorator.operation = _operation(result, resource, listening)
    _set_filters(result, block)
    return result


def _set_filters(result: route.Route, block: Block) -> None:
    if "fault" in block:
        with within("fault"):
            result.typed_per_filter_config[fault.FILTER].CopyFrom(packed(fault.http_fault(block["fault"])))
    if "corsPolicy" in block:
        result.typed_per_filter_config[cors.FILTER].CopyFrom(packed(cors.cors_policy(block["corsPolicy"])))


def _set_action(
    result: route.Route,
    proxy: Proxy,
    resource: Resource,
    block: Block,
    listening: Listening,
    operations: HeaderOperations,
) -> None:
    timeout = duration(block["timeout"]) if "timeout" in block else NO_TIMEOUT
    # `max_grpc_timeout` of the same length makes Envoy honour the caller's grpc-timeout.
    result.route.CopyFrom(route.RouteAction(timeout=timeout, max_grpc_timeout=timeout))
    _rewrite(result.route, block.get("rewrite", {}), operations.authority)
    result.route.request_mirror_policies.extend(_mirrors(proxy, resource, block, listening))
    hashed = _set_destinations(result, proxy, resource, block, listening)
    with within("retries"):
        policy = retry_policy(block.get("retries"), consistent_hash=hashed)
    if policy:
        result.route.retry_policy.CopyFrom(policy)


def _rewrite(action: route.RouteAction, block: Block, authority: str) -> None:
    if "uriRegexRewrite" in block:
        action.regex_rewrite.pattern.CopyFrom(regex(block["uriRegexRewrite"].get("match", "")))
        action.regex_rewrite.substitution = block["uriRegexRewrite"].get("rewrite", "")
    elif block.get("uri"):
        action.prefix_rewrite = block["uri"]
    host = block.get("authority") or authority
    if host:
        action.host_rewrite_literal = host


def _set_destinations(
    result: route.Route, proxy: Proxy, resource: Resource, block: Block, listening: Listening
) -> bool:
    """
    Set where the route leads; whether a consistent hash chooses the one destination's host.
    """
    destinations = block.get("route", ())
    if len(destinations) != 1:
        _set_weighted(result, proxy, resource, destinations, listening)
        return False
    [only] = destinations
    result.route.cluster = _cluster(proxy, resource, only["destination"], listening)
    operations = header_operations(only.get("headers"))
    operations.apply(result)
    if operations.authority and not result.route.host_rewrite_literal:
        result.route.host_rewrite_literal = operations.authority
    policies = list(_hash_policies(proxy, resource, only["destination"]))
    result.route.hash_policy.extend(policies)
    return bool(policies)


def _set_weighted(
    result: route.Route, proxy: Proxy, resource: Resource, destinations: Iterable[Block], listening: Listening
) -> None:
    for destination in destinations:
        if not destination.get("weight"):
            continue
        target = result.route.weighted_clusters.clusters.add()
        target.name = _cluster(proxy, resource, destination["destination"], listening)
        target.weight.value = destination["weight"]
        operations = header_operations(destination.get("headers"))
        operations.apply(target)
        if operations.authority:
            target.host_rewrite_literal = operations.authority
        result.route.hash_policy.extend(_hash_policies(proxy, resource, destination["destination"]))
    if not result.route.weighted_clusters.clusters:
        raise BlockError("route", "no destination has a weight")


def _hash_policies(proxy: Proxy, resource: Resource, destination: Block) -> Iterator[route.RouteAction.HashPolicy]:
    rule = proxy.destination_rule(proxy.full_name(destination["host"], resource))
    port = destination.get("port", {}).get("number", 0)
    yield from hash_policy(consistent_hash_of(rule, destination.get("subset", ""), port))


def _cluster(proxy: Proxy, resource: Resource, destination: Block, listening: Listening) -> str:
    """
    The cluster of a destination; without a port, the service's only one or the one called.
    """
    host = proxy.full_name(destination["host"], resource)
    service = proxy.services.get(host)
    port = destination.get("port", {}).get("number", 0)
    if not port:
        port = service.ports[0].number if service and len(service.ports) == 1 else listening.port
    return outbound_cluster(port, destination.get("subset", ""), host)


def _mirrors(
    proxy: Proxy, resource: Resource, block: Block, listening: Listening
) -> Iterator[route.RouteAction.RequestMirrorPolicy]:
    mirrors = (
        [{"destination": block["mirror"], "percentage": block.get("mirrorPercentage")}] if "mirror" in block else []
    )
    whole = block.get("mirrorPercent", block.get("mirror_percent"))
    for mirror in [*mirrors, *block.get("mirrors", ())]:
        share = hundredths(100)
        if mirror.get("percentage") is not None:
            share = millionths(mirror["percentage"])
        elif whole is not None and mirror["destination"] is block.get("mirror"):
            share = hundredths(whole)
        if share.numerator:
            yield route.RouteAction.RequestMirrorPolicy(
                cluster=_cluster(proxy, resource, mirror["destination"], listening),
                runtime_fraction=base_pb2.RuntimeFractionalPercent(default_value=share),
                trace_sampled=boolean(False),
                disable_shadow_host_suffix_append=True,
            )


def _redirect(block: Block, listening: Listening) -> route.RedirectAction:
    code = block.get("redirectCode", 0) or 301
    if code not in REDIRECTS:
        raise BlockError("redirect.redirectCode", f"must be one of {', '.join(map(str, REDIRECTS))}")
    action = route.RedirectAction(host_redirect=block.get("authority", ""), response_code=REDIRECTS[code])
    if block.get("prefixRewrite"):
        action.prefix_rewrite = block["prefixRewrite"]
    else:
        action.path_redirect = block.get("uri", "")
    if block.get("scheme"):
        action.scheme_redirect = block["scheme"]
    port = block.get("port", listening.port if block.get("derivePort") == "FROM_REQUEST_PORT" else 0)
    scheme = block.get("scheme") or ("https" if listening.tls else "http")
    if (port, scheme) not in ((80, "http"), (443, "https")):
        action.port_redirect = port
    return action


def _direct_response(block: Block) -> route.DirectResponseAction:
    action = route.DirectResponseAction(status=block["status"])
    body = block.get("body", {})
    if "string" in body:
        action.body.inline_string = body["string"]
    elif "bytes" in body:
        try:
            action.body.inline_bytes = base64.b64decode(body["bytes"], validate=True)
        except binascii.Error:
            raise BlockError("directResponse.body.bytes", "is no base64") from None
    return action


def config_metadata(resource: Resource) -> base_pb2.Metadata:
    """
    Where a piece of configuration came from, as Istio notes it.
    """
    group = "security.istio.io" if "Auth" in resource.kind else "networking.istio.io"
    kind = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in resource.kind).lstrip("-")
    content = struct_pb2.Struct()
    content["config"] = f"/apis/{group}/v1/namespaces/{resource.namespace}/{kind}/{resource.name}"
    return base_pb2.Metadata(filter_metadata={"istio": content})


def _operation(result: route.Route, resource: Resource, listening: Listening) -> str:
    match: Any = result.match
    path = match.path or match.safe_regex.regex or f"{match.prefix}*"
    parts = result.route.cluster.split("|")
    if len(parts) == 4:
        return f"{parts[3]}:{parts[1]}{path}"
    return f"{resource.name}:{listening.port}{path}"
