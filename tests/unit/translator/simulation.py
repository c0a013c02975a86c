"""
Routes an imagined call through generated configuration, without an Envoy, and returns where it ends.

Modelled on Istio's pilot/pkg/simulation. It implements the parts of Envoy that the translator uses, and fails on
others.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import re2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from translator.config.translate import Configuration


@dataclass(frozen=True)
class Call:
    """An incoming call: `identity` is the client certificate's, `claims` are those of a verified token."""

    host: str
    path: str = "/"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)
    alpn: tuple[str, ...] = ("istio", "h2")


@dataclass(frozen=True)
class Outcome:
    """Where a call ends: at clusters with weights, at a direct response, or denied."""

    clusters: Mapping[str, int] = field(default_factory=dict)
    status: int = 0
    refused: str = ""
    route: Any = None

    @property
    def cluster(self) -> str:
        [only] = self.clusters
        return only

    @property
    def retries(self) -> Any:
        return self.route.route.retry_policy if self.route.route.HasField("retry_policy") else None


CLOSED, DENIED, NO_ROUTE = Outcome(refused="closed"), Outcome(refused="denied"), Outcome(status=404)


def inbound(configuration: Configuration, port: int, call: Call) -> Outcome:
    """Return the outcome of a call from outside to a sidecar's port."""
    [listener] = [one for one in configuration.listeners if one.name == f"virtualInbound_{port}"]
    return _through(configuration, listener, call)


def outbound(configuration: Configuration, port: int, call: Call) -> Outcome:
    """
    Return the outcome of a call by the sidecar's application to a service's port, or of a call that arrives at a
    gateway's port.
    """
    [listener] = [one for one in configuration.listeners if one.name == f"0.0.0.0_{port}"]
    return _through(configuration, listener, call)


def endpoints(configuration: Configuration, cluster: str) -> list[str]:
    """Return the endpoints of a cluster."""
    assignments = {a.cluster_name: a for a in configuration.endpoints}
    [found] = [one for one in configuration.clusters if one.name == cluster]
    assignment = assignments.get(cluster, found.load_assignment)
    sockets = [e.endpoint.address.socket_address for locality in assignment.endpoints for e in locality.lb_endpoints]
    return [f"{socket.address}:{socket.port_value}" for socket in sockets]


def _through(configuration: Configuration, listener: Any, call: Call) -> Outcome:
    chain = next((chain for chain in listener.filter_chains if _chain_matches(chain.filter_chain_match, call)), None)
    if chain is None:
        return CLOSED
    manager = hcm.HttpConnectionManager()
    chain.filters[-1].typed_config.Unpack(manager)
    for filters in manager.http_filters:
        if filters.name == "envoy.filters.http.rbac" and not _allowed(filters.typed_config, call):
            return DENIED
    routes = manager.route_config
    if manager.HasField("rds"):
        [routes] = [one for one in configuration.routes if one.name == manager.rds.route_config_name]
    return _routed(routes, call)


def _chain_matches(match: Any, call: Call) -> bool:
    encrypted = bool(call.identity)
    if match.transport_protocol and (match.transport_protocol == "tls") != encrypted:
        return False
    return not match.application_protocols or bool(set(match.application_protocols) & set(call.alpn))


def _routed(configuration: Any, call: Call) -> Outcome:
    host = _host(configuration, call.host.rsplit(":", 1)[0].lower())
    route = next((route for route in host.routes if _matches(route.match, call)), None) if host else None
    if route is None:
        return NO_ROUTE
    kind = route.WhichOneof("action")
    if kind == "direct_response":
        return Outcome(status=route.direct_response.status, route=route)
    if kind == "redirect":
        return Outcome(status=(301, 302, 303, 307, 308)[route.redirect.response_code], route=route)
    weighted = {item.name: item.weight.value for item in route.route.weighted_clusters.clusters}
    return Outcome(clusters=weighted or {route.route.cluster: 100}, route=route)


def _host(configuration: Any, name: str) -> Any | None:
    domains = {domain: host for host in configuration.virtual_hosts for domain in host.domains}
    wildcards = sorted((d for d in domains if d.startswith("*.") and name.endswith(d[1:])), key=len, reverse=True)
    return domains.get(name) or next((domains[domain] for domain in wildcards), None) or domains.get("*")


def _matches(match: Any, call: Call) -> bool:
    path, _, query = call.path.partition("?")
    parameters = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    headers = {**call.headers, ":method": call.method, ":authority": call.host, ":path": call.path}
    return (
        _path_matches(match, path)
        and all(_header_matches(matcher, headers) for matcher in match.headers)
        and all(_parameter_matches(matcher, parameters) for matcher in match.query_parameters)
        and all(_claim_matches(matcher, call.claims) for matcher in match.dynamic_metadata)
    )


def _path_matches(match: Any, path: str) -> bool:
    fold = (lambda text: text) if match.case_sensitive.value or not match.HasField("case_sensitive") else str.lower
    kind = match.WhichOneof("path_specifier")
    if kind == "path":
        return fold(path) == fold(match.path)
    if kind == "prefix":
        return fold(path).startswith(fold(match.prefix))
    return bool(re2.compile(match.safe_regex.regex).fullmatch(path))


def _header_matches(matcher: Any, headers: Mapping[str, str]) -> bool:
    value = headers.get(matcher.name, "" if matcher.treat_missing_header_as_empty else None)
    if matcher.WhichOneof("header_match_specifier") == "present_match":
        return (value is not None) != matcher.invert_match
    return value is not None and _text_matches(matcher.string_match, value) != matcher.invert_match


def _parameter_matches(matcher: Any, parameters: Mapping[str, str]) -> bool:
    if matcher.WhichOneof("query_parameter_match_specifier") == "present_match":
        return matcher.name in parameters
    return matcher.name in parameters and _text_matches(matcher.string_match, parameters[matcher.name])


def _text_matches(matcher: Any, value: str) -> bool:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return bool(re2.compile(matcher.safe_regex.regex).fullmatch(value))
    wanted = getattr(matcher, kind)
    if matcher.ignore_case:
        wanted, value = wanted.lower(), value.lower()
    return {"exact": value == wanted, "prefix": value.startswith(wanted), "suffix": value.endswith(wanted)}[kind]


def _claim_matches(matcher: Any, claims: Mapping[str, Any]) -> bool:
    node: Any = claims
    for segment in matcher.path[1:]:
        node = node.get(segment.key) if isinstance(node, Mapping) else None
    return _value_matches(matcher.value, node) != matcher.invert


def _value_matches(matcher: Any, value: Any) -> bool:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "or_match":
        return any(_value_matches(one, value) for one in matcher.or_match.value_matchers)
    if kind == "list_match":
        return isinstance(value, list) and any(_value_matches(matcher.list_match.one_of, item) for item in value)
    return isinstance(value, str) and _text_matches(matcher.string_match, value)


def _allowed(config: Any, call: Call) -> bool:
    rbac = http_rbac.RBAC()
    config.Unpack(rbac)
    if not rbac.HasField("rules"):
        return True
    met = any(_policy_met(policy, call) for policy in rbac.rules.policies.values())
    return {rbac_pb2.RBAC.ALLOW: met, rbac_pb2.RBAC.DENY: not met, rbac_pb2.RBAC.LOG: True}[rbac.rules.action]


def _policy_met(policy: Any, call: Call) -> bool:
    return any(_met(one, call) for one in policy.permissions) and any(_met(one, call) for one in policy.principals)


def _met(rule: Any, call: Call) -> bool:
    """Return whether a permission or a principal matches."""
    kind = rule.WhichOneof("rule" if isinstance(rule, rbac_pb2.Permission) else "identifier")
    value = getattr(rule, kind)
    if kind in ("and_rules", "and_ids"):
        return all(_met(one, call) for one in _members(value))
    if kind in ("or_rules", "or_ids"):
        return any(_met(one, call) for one in _members(value))
    if kind in ("not_rule", "not_id"):
        return not _met(value, call)
    return _holds(kind, value, call)


def _members(group: Any) -> Iterator[Any]:
    yield from group.rules if hasattr(group, "rules") else group.ids


def _holds(kind: str, value: Any, call: Call) -> bool:
    headers = {**call.headers, ":method": call.method, ":authority": call.host}
    if kind == "any":
        return True
    if kind == "header":
        return _header_matches(value, headers)
    if kind == "url_path":
        return _text_matches(value.path, call.path.partition("?")[0])
    if kind == "authenticated":
        return _text_matches(value.principal_name, call.identity)
    if kind == "metadata":
        return _claim_matches(value, call.claims)
    if kind == "uri_template":
        return bool(re.fullmatch(_template(value), call.path))
    raise NotImplementedError(kind)


def _template(value: Any) -> str:
    from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2

    config = uri_template_match_pb2.UriTemplateMatchConfig()
    value.typed_config.Unpack(config)
    return re.escape(config.path_template).replace(r"\*\*", ".+").replace(r"\*", "[^/]+")
