"""
RequestAuthentication -> Envoy's JWT filter (istio: security/authn/policy_applier.go).
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.route.v3 import route_components_pb2 as route
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from translator.config.names import outbound_cluster
from translator.config.protoconv import duration, packed, socket_address
from translator.config.secrets import Secrets
from translator.config.tls_context import authority_context, tls_socket
from translator.model.proxy import Proxy
from translator.model.registry import is_ip
from translator.model.values import Block

JWT_FILTER = "envoy.filters.http.jwt_authn"
JWT_PAYLOAD = "payload"

# A new key is published for so long before it signs.
JWKS_TIMEOUT, JWKS_CACHE_S = "5s", 30
SPACE_DELIMITED = ("permission", "scope")
DEFAULT_PORTS = {"http": 80, "https": 443}
CONNECT_TIMEOUT = "5s"
Requirement = config_pb2.JwtRequirement


def jwt_filter(proxy: Proxy) -> hcm.HttpFilter | None:
    """
    Return the filter that validates tokens: a request without one passes, one with an invalid one is rejected.
    """
    rules = jwt_rules(proxy)
    if not rules:
        return None
    names = [f"origins-{number}" for number in range(len(rules))]
    config = config_pb2.JwtAuthentication(bypass_cors_preflight=True)
    for name, rule in zip(names, rules, strict=True):
        # Gateways route by claims, so the route is chosen again once the token is verified.
        made = provider(rule, clear_route_cache=proxy.workload.kind == "gateway")
        config.providers[name].CopyFrom(made)
    config.rules.add(match=route.RouteMatch(prefix="/"), requires=_requirement(names))
    return hcm.HttpFilter(name=JWT_FILTER, typed_config=packed(config))


def jwt_rules(proxy: Proxy) -> list[Block]:
    """
    Return every rule for this workload, by issuer.
    """
    policies = proxy.mesh.selected("RequestAuthentication", proxy.workload)
    rules = [rule for policy in policies for rule in policy.spec.get("jwtRules", ())]
    return sorted(rules, key=lambda rule: str(rule.get("issuer", "")))


def jwks_clusters(proxy: Proxy, secrets: Secrets) -> Iterator[cluster_pb2.Cluster]:
    """
    Return the clusters through which this proxy fetches keys from outside the mesh.
    """
    found = {_jwks_uri(rule) for rule in jwt_rules(proxy)} - {""}
    for name, uri in sorted({_jwks_cluster(uri): uri for uri in found}.items()):
        host = _parts(uri)[1]
        if proxy.services.get(host) is None:
            yield _cluster(name, uri, secrets)


def _cluster(name: str, uri: str, secrets: Secrets) -> cluster_pb2.Cluster:
    scheme, host, port = _parts(uri)
    cluster = cluster_pb2.Cluster(name=name, connect_timeout=duration(CONNECT_TIMEOUT))
    cluster.type = cluster_pb2.Cluster.STATIC if is_ip(host) else cluster_pb2.Cluster.STRICT_DNS
    cluster.load_assignment.cluster_name = name
    cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.CopyFrom(socket_address(host, port))
    if scheme == "https":
        cluster.transport_socket.CopyFrom(tls_socket(authority_context(secrets, host)))
    return cluster


def provider(rule: Block, *, clear_route_cache: bool) -> config_pb2.JwtProvider:
    """
    Return the provider: the issuer, where its tokens are in a request, and its keys.
    """
    result = config_pb2.JwtProvider(
        issuer=rule.get("issuer", ""),
        audiences=rule.get("audiences", ()),
        forward=rule.get("forwardOriginalToken", False),
        forward_payload_header=rule.get("outputPayloadToHeader", ""),
        payload_in_metadata=JWT_PAYLOAD,
        clear_route_cache=clear_route_cache,
        from_params=rule.get("fromParams", ()),
        from_cookies=rule.get("fromCookies", ()),
    )
    claims = sorted({*SPACE_DELIMITED, *rule.get("spaceDelimitedClaims", ())})
    result.normalize_payload_in_metadata.space_delimited_claims.extend(claims)
    for header in rule.get("fromHeaders", ()):
        result.from_headers.add(name=header["name"], value_prefix=header.get("prefix", ""))
    for claim in rule.get("outputClaimToHeaders", ()):
        result.claim_to_headers.add(header_name=claim["header"], claim_name=claim["claim"])
    _set_keys(result, rule)
    return result


def _set_keys(provider: config_pb2.JwtProvider, rule: Block) -> None:
    uri = _jwks_uri(rule)
    if not uri:
        provider.local_jwks.inline_string = rule.get("jwks", "")
        return
    provider.remote_jwks.http_uri.uri = uri
    provider.remote_jwks.http_uri.cluster = _jwks_cluster(uri)
    provider.remote_jwks.http_uri.timeout.CopyFrom(duration(rule.get("timeout", JWKS_TIMEOUT)))
    provider.remote_jwks.cache_duration.seconds = JWKS_CACHE_S
    # The first request should not wait for the keys, and a listener not for an issuer that is down.
    provider.remote_jwks.async_fetch.fast_listener = True


def _requirement(names: list[str]) -> config_pb2.JwtRequirement:
    """
    Require a token of any provider; for each provider, a valid one or none.
    """
    each = [_any([Requirement(provider_name=name), _missing()]) for name in names]
    if len(each) == 1:
        return each[0]
    every = Requirement(requires_all=config_pb2.JwtRequirementAndList(requirements=each))
    return _any([*(Requirement(provider_name=name) for name in names), every])


def _any(requirements: list[config_pb2.JwtRequirement]) -> config_pb2.JwtRequirement:
    return Requirement(requires_any=config_pb2.JwtRequirementOrList(requirements=requirements))


def _missing() -> config_pb2.JwtRequirement:
    requirement = Requirement()
    requirement.allow_missing.SetInParent()
    return requirement


def _jwks_uri(rule: Block) -> str:
    return str(rule.get("jwksUri") or rule.get("jwks_uri") or "")


def _jwks_cluster(uri: str) -> str:
    _, host, port = _parts(uri)
    return outbound_cluster(port, "", host)


def _parts(uri: str) -> tuple[str, str, int]:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
