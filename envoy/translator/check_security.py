"""
Checks of AuthorizationPolicies, RequestAuthentications, PeerAuthentications, Gateways and EnvoyFilters.
"""

import json

from translator import check_values as values
from translator.authz import ACTIONS, policies
from translator.check_traffic import LAYOUT
from translator.check_values import Mistakes
from translator.constraints import mistakes
from translator.gateway import HTTP_PROTOCOLS
from translator.jwt import provider
from translator.patches import MERGE, REMOVE, read_patches
from translator.problems import BlockError
from translator.resources import Resource
from translator.secrets import Secrets
from translator.tls import gateway_tls
from translator.values import Block

PLAIN_ONLY = frozenset({"PASSTHROUGH", "AUTO_PASSTHROUGH"})


def check_authorization_policy(resource: Resource) -> Mistakes:
    """
    Everything that is wrong with an AuthorizationPolicy.
    """
    spec = resource.spec
    action = spec.get("action", "ALLOW")
    if action not in ACTIONS:
        yield "spec.action", f"{action} is not supported; supported are {', '.join(ACTIONS)}"
    if action == "DENY" and "rules" not in spec:
        yield "spec.rules", "DENY without rules denies nothing; a rule {} denies everything"
    found = [mistake for n, rule in enumerate(spec.get("rules", ())) for mistake in _rule(rule, f"spec.rules[{n}]")]
    yield from found
    if not found:
        yield from values.translated(lambda: [policy for _, policy in policies(resource)], "")


def _rule(rule: Block, path: str) -> Mistakes:
    for group, inner in (("from", "source"), ("to", "operation")):
        if group in rule and not rule[group]:
            yield f"{path}.{group}", "must not be empty"
        for number, item in enumerate(rule.get(group, ())):
            here = f"{path}.{group}[{number}].{inner}"
            if not any(item.get(inner, {}).values()):
                yield here, "must not be empty"
            for name, texts in item.get(inner, {}).items():
                if "" in texts:
                    yield f"{here}.{name}", "must not have an empty value"


def check_request_authentication(resource: Resource) -> Mistakes:
    """
    Everything that is wrong with a RequestAuthentication.
    """
    for number, rule in enumerate(resource.spec.get("jwtRules", ())):
        path = f"spec.jwtRules[{number}]"
        if not any(rule.get(name) for name in ("jwks", "jwksUri", "jwks_uri")):
            yield path, "must have jwks or jwksUri; keys are not looked up by the issuer here"
        yield from _keys(rule.get("jwks", ""), f"{path}.jwks")
        yield from values.translated(lambda item=rule: provider(item, clear_route_cache=False), path)  # type: ignore[misc]


def _keys(text: str, path: str) -> Mistakes:
    if not text:
        return
    try:
        keys = json.loads(text)
    except ValueError as error:
        yield path, f"is no JSON: {error}"
        return
    if (
        not isinstance(keys, dict)
        or not isinstance(keys.get("keys"), list)
        or not all(isinstance(k, dict) for k in keys["keys"])
    ):
        yield path, 'must be a set of keys: {"keys": [...]}'


def check_gateway(resource: Resource) -> Mistakes:
    """
    Everything that is wrong with a Gateway.
    """
    servers = resource.spec.get("servers", ())
    yield from values.label(resource.name, "metadata.name")
    if not servers:
        yield "spec.servers", "must have at least one server"
    for number, server in enumerate(servers):
        yield from _server(server, f"spec.servers[{number}]")
        name = server["port"].get("name")
        if name in [other["port"].get("name") for other in servers[:number]]:
            yield f"spec.servers[{number}].port.name", f"{name!r} is there twice"


def _server(server: Block, path: str) -> Mistakes:
    port, tls = server["port"], server.get("tls")
    protocol = port["protocol"].upper()
    yield from values.port(port["number"], f"{path}.port.number")
    if not server["hosts"]:
        yield f"{path}.hosts", "must have at least one host"
    for number, host in enumerate(server["hosts"]):
        owner, _, name = host.rpartition("/")
        yield from values.host(name, f"{path}.hosts[{number}]")
        if owner not in ("", "*", "."):
            yield from values.label(owner, f"{path}.hosts[{number}]")
    if protocol not in HTTP_PROTOCOLS | {"HTTPS"}:
        yield (
            f"{path}.port.protocol",
            f"{port['protocol']} is not supported; supported are {', '.join(sorted(HTTP_PROTOCOLS))} and HTTPS",
        )
    elif protocol == "HTTPS":
        yield from _secure(tls, f"{path}.tls")
    elif tls and (set(tls) - {"httpsRedirect", "mode"} or tls.get("mode", "PASSTHROUGH") != "PASSTHROUGH"):
        yield f"{path}.tls", "only httpsRedirect may be set for a port without TLS"


def _secure(tls: Block | None, path: str) -> Mistakes:
    mode = (tls or {}).get("mode", "PASSTHROUGH")
    if tls is None:
        yield path, "must be given for HTTPS"
    elif mode in PLAIN_ONLY:
        yield f"{path}.mode", f"{mode} is not supported: HTTPS ends at the gateway"
    else:
        own = sorted({"serverCertificate", "privateKey", "caCertificates", "credentialName"} & set(tls))
        if mode == "ISTIO_MUTUAL" and own:
            yield f"{path}.{own[0]}", "cannot be set for ISTIO_MUTUAL, which has its own certificates"
        yield from values.translated(lambda: gateway_tls(tls, Secrets(LAYOUT)), path)


def check_envoy_filter(resource: Resource) -> Mistakes:
    """
    Everything that is wrong with an EnvoyFilter.
    """
    try:
        patches = list(read_patches(resource))
    except BlockError as error:
        yield error.path, error.message
        return
    for patch in patches:
        # What is merged need not be whole, and what is removed has no value.
        for place, reason in mistakes(patch.value) if patch.operation not in (MERGE, REMOVE) else ():
            yield f"{patch.path}.patch.value", f"Envoy would refuse it: {place}: {reason}"
