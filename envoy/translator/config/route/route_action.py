"""
A VirtualService's destinations -> Envoy's RouteAction (istio: core/route/route.go applyHTTPRouteDestination).
"""

from collections.abc import Iterable, Iterator

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as route
from google.protobuf import duration_pb2

from translator.config.names import outbound_cluster
from translator.config.protoconv import boolean, duration, hundredths, millionths, regex
from translator.config.route.context import RouteContext
from translator.config.route.hash_policy import hash_policy
from translator.config.route.headers import HeaderOperations, header_operations
from translator.config.route.retry import retry_policy
from translator.model.problems import BlockError, within
from translator.model.traffic_policy import consistent_hash_of
from translator.model.values import Block
from translator.model.virtual_service import MESH

NO_TIMEOUT = duration_pb2.Duration()


def set_action(
    result: route.Route,
    context: RouteContext,
    block: Block,
    operations: HeaderOperations,
) -> None:
    """
    Set the destination of a route, with its timeout, retries, rewrite and mirrors.
    """
    timeout = duration(block["timeout"]) if "timeout" in block else NO_TIMEOUT
    # `max_grpc_timeout` of the same length makes Envoy honour the caller's grpc-timeout.
    result.route.CopyFrom(route.RouteAction(timeout=timeout, max_grpc_timeout=timeout))
    _rewrite(result.route, block.get("rewrite", {}), operations.authority)
    result.route.request_mirror_policies.extend(_mirrors(context, block))
    hashed = _set_destinations(result, context, block)
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


def _set_destinations(result: route.Route, context: RouteContext, block: Block) -> bool:
    """
    Set the destinations; return whether a consistent hash chooses the host of a single one.
    """
    destinations = block.get("route", ())
    if len(destinations) != 1:
        _set_weighted(result, context, destinations)
        return False
    [only] = destinations
    result.route.cluster = _cluster(context, only["destination"])
    operations = header_operations(only.get("headers"))
    operations.apply(result)
    if operations.authority and not result.route.host_rewrite_literal:
        result.route.host_rewrite_literal = operations.authority
    policies = list(_hash_policies(context, only["destination"]))
    result.route.hash_policy.extend(policies)
    return bool(policies)


def _set_weighted(result: route.Route, context: RouteContext, destinations: Iterable[Block]) -> None:
    for destination in destinations:
        if not destination.get("weight"):
            continue
        target = result.route.weighted_clusters.clusters.add()
        target.name = _cluster(context, destination["destination"])
        target.weight.value = destination["weight"]
        operations = header_operations(destination.get("headers"))
        operations.apply(target)
        if operations.authority:
            target.host_rewrite_literal = operations.authority
        result.route.hash_policy.extend(_hash_policies(context, destination["destination"]))
    if not result.route.weighted_clusters.clusters:
        raise BlockError("route", "no destination has a weight")


def _hash_policies(context: RouteContext, destination: Block) -> Iterator[route.RouteAction.HashPolicy]:
    rule = context.proxy.destination_rule(context.proxy.full_name(destination["host"], context.resource))
    port = destination.get("port", {}).get("number", 0)
    yield from hash_policy(consistent_hash_of(rule, destination.get("subset", ""), port))


def _cluster(context: RouteContext, destination: Block) -> str:
    """
    Return the cluster of a destination without a port: of the port called at a sidecar, of a service's only one at a
    gateway.
    """
    host = context.proxy.full_name(destination["host"], context.resource)
    port = destination.get("port", {}).get("number", 0) or context.listening.port
    service = context.proxy.services.get(host)
    if "port" not in destination and MESH not in context.listening.gateways and service and len(service.ports) == 1:
        port = service.ports[0].number
    return outbound_cluster(port, destination.get("subset", ""), host)


def _mirrors(context: RouteContext, block: Block) -> Iterator[route.RouteAction.RequestMirrorPolicy]:
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
                cluster=_cluster(context, mirror["destination"]),
                runtime_fraction=base_pb2.RuntimeFractionalPercent(default_value=share),
                trace_sampled=boolean(False),
                disable_shadow_host_suffix_append=True,
            )
