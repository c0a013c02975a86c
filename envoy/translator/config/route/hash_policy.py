"""
The hash policy of a route for consistent hashing (istio: core/route/route.go).
"""

from envoy.config.route.v3 import route_components_pb2 as route

from translator.config.protoconv import duration
from translator.model.values import Block


def hash_policy(block: Block | None) -> list[route.RouteAction.HashPolicy]:
    """
    Return what Envoy hashes on a route; without it a ring hash has no effect.
    """
    policy = route.RouteAction.HashPolicy
    if not block:
        return []
    if "httpHeaderName" in block:
        return [policy(header=policy.Header(header_name=block["httpHeaderName"]))]
    if "httpQueryParameterName" in block:
        return [policy(query_parameter=policy.QueryParameter(name=block["httpQueryParameterName"]))]
    if "useSourceIp" in block:
        return [policy(connection_properties=policy.ConnectionProperties(source_ip=block["useSourceIp"]))]
    return [policy(cookie=_cookie(block["httpCookie"]))] if "httpCookie" in block else []


def _cookie(block: Block) -> route.RouteAction.HashPolicy.Cookie:
    cookie = route.RouteAction.HashPolicy.Cookie(name=block["name"], path=block.get("path", ""))
    if "ttl" in block:
        cookie.ttl.CopyFrom(duration(block["ttl"]))
    for attribute in block.get("attributes", ()):
        cookie.attributes.add(name=attribute["name"], value=attribute.get("value", ""))
    return cookie
