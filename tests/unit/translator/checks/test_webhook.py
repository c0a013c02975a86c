# ruff: noqa: E501  # a resource is easier to read on one line
"""
What Istio's webhook rejects is rejected, and what it accepts is accepted (expected values from pkg/config/validation).
"""

import json

import pytest

from tests.unit.translator.rig import problems, read
from translator.model.problems import InvalidMesh

NETWORKING, SECURITY = "networking.istio.io/v1", "security.istio.io/v1"
ROUTE = "route: [{destination: {host: inventory}}]"


def resource(kind: str, spec: str, *, group: str = NETWORKING, metadata: str = "") -> str:
    return f"{{apiVersion: {group}, kind: {kind}, metadata: {{name: r, namespace: shop{metadata}}}, spec: {spec}}}"


def routes(http: str, hosts: str = "[inventory]", more: str = "") -> str:
    return resource("VirtualService", f"{{hosts: {hosts}, {more} http: [{{{http}}}]}}")


def headers(operations: str, more: str = "") -> str:
    return routes(f"{ROUTE}, {more} headers: {operations}")


def policy(spec: str, metadata: str = "") -> str:
    return resource("AuthorizationPolicy", spec, group=SECURITY, metadata=metadata)


def keys(jwks: object) -> str:
    rule = json.dumps({"issuer": "a", "jwks": json.dumps(jwks)})
    return resource("RequestAuthentication", f"{{jwtRules: [{rule}]}}", group=SECURITY)


def patched(apply_to: str, match: str = "{}", patch: str = "{operation: REMOVE}") -> str:
    patch = f"{{applyTo: {apply_to}, match: {match}, patch: {patch}}}"
    return resource("EnvoyFilter", f"{{configPatches: [{patch}]}}").replace(NETWORKING, "networking.istio.io/v1alpha3")


RULE = "{from: [{source: {namespaces: [shop]}}]}"
DRY_RUN = ", annotations: {istio.io/dry-run: '%s'}"
REFUSED = [
    (headers("{request: {set: {':path': x}}}"), "spec.http[0].headers.request.set.:path"),
    (headers("{request: {remove: [Host]}}"), "spec.http[0].headers.request.remove[0]"),
    (headers("{response: {add: {host: x}}}"), "spec.http[0].headers.response.add.host"),
    (headers("{request: {set: {host: a, ':authority': b}}}"), "spec.http[0].headers.request"),
    (headers("{request: {set: {host: a}}}", "rewrite: {authority: b},"), "spec.http[0].headers.request"),
    (headers("{request: {set: {x: '50%'}}}"), "spec.http[0].headers.request.set.x"),
    (headers("{request: {set: {x: '%REQ(a'}}}"), "spec.http[0].headers.request.set.x"),
    (headers("{request: {set: {x: '%A([\"a\" b])%'}}}"), "spec.http[0].headers.request.set.x"),
    (routes("route: [{destination: {host: a}, headers: {request: {remove: [':path']}}}]"), "spec.http[0].route[0].headers.request.remove[0]"),
    (routes(f"match: [{{uri: {{regex: {'a' * 1025}}}}}], {ROUTE}"), "spec.http[0].match[0].uri.regex"),
    (routes(f"match: [{{headers: {{'a b': {{exact: x}}}}}}], {ROUTE}"), "spec.http[0].match[0].headers.a b"),
    (routes(f"match: [{{headers: {{a: {{regex: '*'}}}}}}], {ROUTE}"), "spec.http[0].match[0].headers.a.regex"),
    (routes(f"match: [{{sourceLabels: {{'a b': x}}}}], {ROUTE}"), "spec.http[0].match[0].sourceLabels"),
    (routes(f"match: [{{sourceNamespace: a.b}}], {ROUTE}"), "spec.http[0].match[0].sourceNamespace"),
    (routes(f"match: [{{gateways: [a/b/c]}}], {ROUTE}"), "spec.http[0].match[0].gateways[0]"),
    (routes(f"{ROUTE}, retries: {{attempts: 1, retryOn: '5xx, reset'}}"), "spec.http[0].retries.retryOn"),
    (routes(f"{ROUTE}, retries: {{attempts: 1, perTryTimeout: 1.0005s}}"), "spec.http[0].retries.perTryTimeout"),
    (routes(f"{ROUTE}, timeout: 999us"), "spec.http[0].timeout"),
    (routes(f"{ROUTE}, corsPolicy: {{maxAge: 1500ms}}"), "spec.http[0].corsPolicy.maxAge"),
    (routes(f"{ROUTE}, corsPolicy: {{allowHeaders: ['a b']}}"), "spec.http[0].corsPolicy.allowHeaders[0]"),
    (routes(f"{ROUTE}, fault: {{abort: {{httpStatus: 503, percentage: {{value: 0.00001}}}}}}"), "spec.http[0].fault.abort.percentage.value"),
    (routes(ROUTE, hosts="[a..b]"), "spec.hosts[0]"),
    (resource("VirtualService", f"{{http: [{{{ROUTE}, delegate: {{name: a}}}}]}}"), "spec.http[0].delegate"),
    (resource("VirtualService", "{http: [{delegate: {name: a}}]}"), "spec.http[0].delegate"),
    (resource("VirtualService", f"{{gateways: [edge], http: [{{{ROUTE}}}]}}"), "spec.gateways"),
    (routes(ROUTE, hosts="[1.2.3]"), "spec.hosts[0]"),
    (routes(ROUTE, more="exportTo: [shop, .],"), "spec.exportTo[1]"),
    (routes(ROUTE, more="exportTo: ['*', shop],"), "spec.exportTo"),
    (routes(ROUTE, more="exportTo: ['~'],"), "spec.exportTo[0]"),
    (resource("DestinationRule", "{host: a, exportTo: [web], workloadSelector: {matchLabels: {app: a}}}"), "spec.exportTo"),
    (resource("DestinationRule", "{host: a, subsets: [{name: x, labels: {app: '-'}}]}"), "spec.subsets[0].labels.app"),
    (resource("DestinationRule", "{host: a, trafficPolicy: {portLevelSettings: [{loadBalancer: {simple: RANDOM}}]}}"), "spec.trafficPolicy.portLevelSettings[0].port"),
    (resource("DestinationRule", "{host: a, trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /x}}}"), "spec.trafficPolicy.tls.privateKey"),
    (resource("DestinationRule", "{host: a, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true, caCertificates: /x}}}"), "spec.trafficPolicy.tls.insecureSkipVerify"),
    (resource("DestinationRule", "{host: a, trafficPolicy: {connectionPool: {tcp: {connectTimeout: 1.0001s}}}}"), "spec.trafficPolicy.connectionPool.tcp.connectTimeout"),
    (resource("DestinationRule", "{host: a, trafficPolicy: {connectionPool: {tcp: {idleTimeout: soon}}}}"), "spec.trafficPolicy.connectionPool.tcp.idleTimeout"),
    (resource("Sidecar", "{workloadSelector: {labels: {app: a}}}"), "spec"),
    (resource("Sidecar", "{egress: [{hosts: [./short]}]}"), "spec.egress[0].hosts[0]"),
    (resource("Sidecar", "{egress: [{hosts: ['./*-a.example']}]}"), "spec.egress[0].hosts[0]"),
    (resource("Sidecar", "{egress: [{hosts: [./*]}, {hosts: [web/*]}]}"), "spec.egress[0]"),
    (resource("Gateway", "{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [short]}]}"), "spec.servers[0].hosts[0]"),
    (resource("Gateway", "{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['a b/*']}]}"), "spec.servers[0].hosts[0]"),
    (resource("ServiceEntry", "{hosts: [a.example], ports: [{number: 80, name: a}, {number: 80, name: b}], resolution: DNS}"), "spec.ports"),
    (resource("DestinationRule", "{host: a, trafficPolicy: {portLevelSettings: []}}"), "spec.trafficPolicy"),
    (patched("HTTP_FILTER", "{cluster: {name: a}}"), "spec.configPatches[0].match.cluster"),
    (patched("CLUSTER", "{listener: {portNumber: 80}}"), "spec.configPatches[0].match.listener"),
    (patched("HTTP_FILTER", "{listener: {filterChain: {filter: {}}}}"), "spec.configPatches[0].match.listener.filterChain.filter.name"),
    (patched("HTTP_FILTER", "{listener: {filterChain: {filter: {name: a, subFilter: {name: b}}}}}"), "spec.configPatches[0].match.listener.filterChain.filter.name"),
    (patched("NETWORK_FILTER", "{listener: {filterChain: {filter: {name: a, subFilter: {name: b}}}}}"), "spec.configPatches[0].match.listener.filterChain.filter.subFilter"),
    (resource("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {consistentHash: {maglev: {}, useSourceIp: true}}}}"), "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"),
    (resource("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: soon}}}}}"), "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.ttl"),
    (resource("EnvoyFilter", "{workloadSelector: {labels: {'*': a}}, configPatches: []}").replace(NETWORKING, "networking.istio.io/v1alpha3"), "spec.workloadSelector"),
    (patched("CLUSTER", patch="{operation: MERGE}"), "spec.configPatches[0].patch.value"),
    (patched("CLUSTER", patch="{operation: MERGE, value: {common_lb_config: []}}"), "spec.configPatches[0].patch.value.common_lb_config"),
    (patched("HTTP_FILTER", patch="{operation: INSERT_FIRST, value: {name: a, typed_config: {}}}"), "spec.configPatches[0].patch.value.typed_config"),
    (patched("HTTP_ROUTE", patch="{operation: MERGE, value: {typed_per_filter_config: {a: {}}}}"), "spec.configPatches[0].patch.value.typed_per_filter_config[a]"),
    (patched("CLUSTER", patch="{operation: MERGE, value: {lb_policy: true}}"), "spec.configPatches[0].patch.value.lb_policy"),
    (patched("CLUSTER", patch="{operation: MERGE, value: {connect_timeout: 10000000000s}}"), "spec.configPatches[0].patch.value.connect_timeout"),
    (patched("CLUSTER", patch="{operation: MERGE, value: {connect_timeout: 1}}"), "spec.configPatches[0].patch.value.connect_timeout"),
    (resource("Gateway", "{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], tls: {mode: SIMPLE}}]}"), "spec.servers[0].tls"),
    (resource("Gateway", "{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], tls: {privateKey: /a}}]}"), "spec.servers[0].tls"),
    (policy("null"), "spec"),
    (resource("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}}}]}}", metadata=", annotations: {a: 1}"), "metadata.annotations.a"),
    (resource("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}}}]}}").replace("}, spec", "}, status: [], spec"), "status"),
    (policy("{action: DENY, rules: []}"), "spec.rules"),
    (policy(f"{{rules: [{RULE}]}}", DRY_RUN % "maybe"), "metadata.annotations.istio.io/dry-run"),
    (policy(f"{{action: AUDIT, rules: [{RULE}]}}", DRY_RUN % "true"), "metadata.annotations.istio.io/dry-run"),
    (policy("{rules: [{from: [{source: {serviceAccounts: [a/b/c]}}]}]}"), "spec.rules[0].from[0].source.serviceAccounts[0]"),
    (policy("{selector: {matchLabels: {app: 'a*'}}}"), "spec.selector.matchLabels.app"),
    (keys({"keys": [{"kty": "RSA", "n": "AQAB"}]}), "spec.jwtRules[0].jwks"),
    (keys({"keys": "none"}), "spec.jwtRules[0].jwks"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path"), REFUSED)
def test_what_istio_rejects_is_rejected_with_its_path(text: str, path: str) -> None:
    found = problems(text)
    assert any(f" shop/r: {path}: " in problem for problem in found), found


RSA = {"kty": "RSA", "n": "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1Wl", "e": "AQAB"}
MANAGER = (
    "{operation: MERGE, value: {typed_config: {'@type': type.googleapis.com/"
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, %s}}}"
)
MAGLEV = "{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: %s}}}}"
TAKEN = [
    routes(f"{ROUTE}, corsPolicy: {{allowHeaders: ['x-a,x-b'], exposeHeaders: ['x-c,x-d', '*']}}"),
    resource("DestinationRule", f"{{host: a, trafficPolicy: {MAGLEV % 2}}}"),
    routes(ROUTE, hosts="['*-foo.example.com']", more="gateways: [edge],"),
    routes(f"match: [{{headers: {{a: {{exact: ''}}}}}}], {ROUTE}"),
    routes(f"match: [{{withoutHeaders: {{a: {{regex: '*'}}}}}}], {ROUTE}"),
    routes(f"match: [{{uri: {{}}, method: {{}}}}], {ROUTE}"),
    resource("VirtualService", f"{{http: [{{{ROUTE}}}]}}"),
    routes(
        "delegate: {name: a, namespace: web}, match: [{uri: {prefix: /a}}], timeout: 1s, fault: {abort: {httpStatus: 503}}"
    ),
    routes("delegate: {name: a}, route: []"),
    routes("delegate: {}"),
    resource("VirtualService", f"{{hosts: [], http: [{{{ROUTE}}}]}}"),
    headers('{request: {set: {x: \'100%% %REQ(a)% %A(["a", "b"])%\', host: other}}}'),
    resource("DestinationRule", "{host: a, subsets: [{name: V1, labels: {a/b: ''}}]}"),
    resource("DestinationRule", "{host: a, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 0s}}}}"),
    resource("Sidecar", "{egress: [{hosts: ['~web/*', '*/*']}]}"),
    resource(
        "ServiceEntry", "{hosts: [a.example], exportTo: ['~'], ports: [{number: 80, name: http}], resolution: DNS}"
    ),
    policy(f"{{rules: [{RULE}]}}", DRY_RUN % "T"),
    patched("CLUSTER", patch="{operation: MERGE, value: {connect_timeout: 1h1m1s1ms}}"),
    resource(
        "Gateway",
        "{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true, cipherSuites: []}}]}",
    ),
    keys({"keys": [RSA]}),
    keys(RSA),
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_istio_accepts_is_accepted(text: str) -> None:
    assert read(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (routes(f"{ROUTE}, fault: {{abort: {{httpStatus: 600}}}}"), "Envoy would reject it"),
        (routes("redirect: {uri: /a, redirectCode: 304}"), "Envoy would reject it"),
        (routes(f"{ROUTE}, timeout: 10000000000s"), "too long a duration"),
        (routes(f"{ROUTE}, timeout: soon"), "is no duration"),
        # What Istio takes and drops, or takes although no call can have it.
        (routes(f"{ROUTE}, fault: {{abort: {{percentage: {{value: 5}}}}}}"), "fault.abort: .* not supported"),
        (routes(f"{ROUTE}, fault: {{delay: {{percentage: {{value: 5}}}}}}"), "fixedDelay: .* not supported"),
        (routes(f"match: [{{headers: {{'x-a,x-b': {{exact: a}}}}}}], {ROUTE}"), "not supported"),
        (resource("DestinationRule", f"{{host: a, trafficPolicy: {MAGLEV % 1}}}"), "Envoy would reject it"),
        (
            resource(
                "DestinationRule", "{host: a, trafficPolicy: {tls: {mode: SIMPLE, credentialName: 'configmap://a'}}}"
            ),
            "not supported",
        ),
        (patched("NETWORK_FILTER", patch=MANAGER % "local_reply_config: {mappers: [null]}"), "Envoy would reject it"),
    ],
)
def test_rejection_has_a_message(text: str, words: str) -> None:
    with pytest.raises(InvalidMesh, match=words):
        read(text)
