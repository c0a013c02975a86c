"""
VirtualService `http` -> Envoy's routes (istio: core/route/route.go).
"""

import base64
import binascii
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as route
from envoy.config.route.v3 import route_pb2

from translator.config.metadata import config_metadata
from translator.config.names import outbound_cluster
from translator.config.protoconv import packed
from translator.config.route import cors, fault
from translator.config.route.context import Listening, RouteContext
from translator.config.route.hash_policy import hash_policy
from translator.config.route.headers import header_operations
from translator.config.route.match import is_catch_all, route_match
from translator.config.route.retry import retry_policy
from translator.config.route.route_action import NO_TIMEOUT, set_action
from translator.model.delegates import origin
from translator.model.problems import BlockError, attributed, within
from translator.model.proxy import Proxy
from translator.model.traffic_policy import consistent_hash_of
from translator.model.values import Block
from translator.model.virtual_service import full_gateway

MAX_DIRECT_RESPONSE_BYTES = 1048576
REDIRECTS = {301: 0, 302: 1, 303: 2, 307: 3, 308: 4}


def route_configuration(name: str) -> route_pb2.RouteConfiguration:
    """
    Return a route configuration with Istio's settings and no hosts yet.
    """
    configuration = route_pb2.RouteConfiguration(name=name, ignore_port_in_host_matching=True)
    configuration.validate_clusters.value = False
    configuration.max_direct_response_body_size_bytes.value = MAX_DIRECT_RESPONSE_BYTES
    return configuration


def http_routes(context: RouteContext) -> list[route.Route]:
    """
    Return the routes of a VirtualService for one proxy, up to the first that matches everything.
    """
    routes: list[route.Route] = []
    for number, block in enumerate(context.resource.spec.get("http", ())):
        owner, place = origin(context.resource, number)
        for match in block.get("match") or [None]:
            with attributed(owner), within(f"spec.http[{place}]"):
                if not _applies(context, match):
                    continue
                routes.append(build_route(context, block, match))
            if is_catch_all(routes[-1].match):
                return routes
    return routes


def default_route(proxy: Proxy, host: str, port: int) -> route.Route:
    """
    Return the route to a service without a VirtualService, with Istio's default retries.
    """
    hash_block = consistent_hash_of(proxy.destination_rule(host), "", port)
    action = route.RouteAction(
        cluster=outbound_cluster(port, "", host), timeout=NO_TIMEOUT, max_grpc_timeout=NO_TIMEOUT
    )
    action.retry_policy.CopyFrom(retry_policy(None, consistent_hash=False))
    action.hash_policy.extend(hash_policy(hash_block))
    operation = route.Decorator(operation=f"{host}:{port}/*")
    return route.Route(name="default", match=route_match(None), route=action, decorator=operation)


def _applies(context: RouteContext, match: Block | None) -> bool:
    """
    Return whether a match can apply at this proxy, by what Istio's control plane evaluates: port, gateways and source.
    """
    if match is None:
        return True
    if match.get("port", 0) not in (0, context.listening.port):
        return False
    if match.get("gateways"):
        gateways = {full_gateway(name, context.resource.namespace) for name in match["gateways"]}
        return bool(gateways & context.listening.gateways)
    labels, namespace = match.get("sourceLabels", {}), context.proxy.namespace
    by_label = bool(labels.items() <= context.proxy.workload.labels.items())
    return by_label and match.get("sourceNamespace", namespace) in ("", namespace)


def build_route(context: RouteContext, block: Block, match: Block | None) -> route.Route:
    """
    Return the route of one match, or of none.
    """
    of_match = (match or {}).get("name", "")
    name = block.get("name", "") + (f".{of_match}" if of_match else "")
    result = route.Route(name=name, match=route_match(match), metadata=config_metadata(context.resource))
    result.stat_prefix = (match or {}).get("statPrefix", "")
    operations = header_operations(block.get("headers"))
    operations.apply(result)
    if "redirect" in block:
        result.redirect.CopyFrom(_redirect(block["redirect"], context.listening))
    elif "directResponse" in block:
        result.direct_response.CopyFrom(_direct_response(block["directResponse"]))
    else:
        set_action(result, context, block, operations)
    result.decorator.operation = _operation(result, context)
    _set_filters(result, block)
    return result


def _set_filters(result: route.Route, block: Block) -> None:
    if "fault" in block:
        with within("fault"):
            result.typed_per_filter_config[fault.FILTER].CopyFrom(packed(fault.http_fault(block["fault"])))
    if "corsPolicy" in block:
        result.typed_per_filter_config[cors.FILTER].CopyFrom(packed(cors.cors_policy(block["corsPolicy"])))


def _redirect(block: Block, listening: Listening) -> route.RedirectAction:
    code = block.get("redirectCode", 0) or 301
    if code not in REDIRECTS:
        # Istio takes the code and gives Envoy a route without an action.
        raise BlockError("redirect.redirectCode", f"Envoy would reject it: it knows {', '.join(map(str, REDIRECTS))}")
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
            raise BlockError("directResponse.body.bytes", "is not valid base64") from None
    return action


def _operation(result: route.Route, context: RouteContext) -> str:
    match: Any = result.match
    path = match.path or match.safe_regex.regex or f"{match.prefix}*"
    parts = result.route.cluster.split("|")
    if len(parts) == 4:
        return f"{parts[3]}:{parts[1]}{path}"
    return f"{context.resource.name}:{context.listening.port}{path}"
