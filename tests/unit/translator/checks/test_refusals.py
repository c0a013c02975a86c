# ruff: noqa: E501  # a resource is easier to read on one line
"""
Invalid resources are rejected with file, resource and path.
"""

import pytest

from tests.unit.translator.rig import problems, read

HEAD = "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: shop}, spec: "
ROUTE = "route: [{destination: {host: inventory}}]"


def virtual_service(http: str, *, hosts: str = "[inventory]", more: str = "") -> str:
    return f"{HEAD}{{hosts: {hosts}, {more} http: [{http}]}}}}"


@pytest.mark.parametrize(
    ("http", "path"),
    [
        (f"{{{ROUTE}, retries: {{attempts: 2, retryOn: sometimes}}}}", "spec.http[0].retries.retryOn"),
        (f"{{{ROUTE}, retries: {{attempts: -1}}}}", "spec.http[0].retries.attempts"),
        (f"{{{ROUTE}, retries: {{attempts: 0, retryOn: reset}}}}", "spec.http[0].retries.retryOn"),
        (f"{{{ROUTE}, timeout: soon}}", "spec.http[0].timeout"),
        (f"{{{ROUTE}, timeout: 0s}}", "spec.http[0].timeout"),
        (f"{{{ROUTE}, fault: {{}}}}", "spec.http[0].fault"),
        (f"{{{ROUTE}, fault: {{abort: {{httpStatus: 99}}}}}}", "spec.http[0].fault.abort.httpStatus"),
        (f"{{{ROUTE}, fault: {{abort: {{grpcStatus: BROKEN}}}}}}", "spec.http[0].fault.abort.grpcStatus"),
        (f"{{{ROUTE}, fault: {{abort: {{http2Error: X}}}}}}", "spec.http[0].fault.abort.http2Error"),
        (f"{{{ROUTE}, fault: {{delay: {{exponentialDelay: 1s}}}}}}", "spec.http[0].fault.delay.exponentialDelay"),
        (f"{{{ROUTE}, fault: {{delay: {{percentage: {{value: 5}}}}}}}}", "spec.http[0].fault.delay.fixedDelay"),
        (
            f"{{{ROUTE}, fault: {{abort: {{httpStatus: 503, percentage: {{value: 101}}}}}}}}",
            "spec.http[0].fault.abort.percentage.value",
        ),
        ("{route: [{destination: {host: '*'}}]}", "spec.http[0].route[0].destination.host"),
        ("{route: [{destination: {host: a, subset: No_Good}}]}", "spec.http[0].route[0].destination.subset"),
        ("{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}}]}", "spec.http[0].route"),
        (f"{{{ROUTE}, redirect: {{uri: /x}}}}", "spec.http[0]"),
        ("{redirect: {redirectCode: 200, uri: /x}}", "spec.http[0].redirect.redirectCode"),
        ("{redirect: {}}", "spec.http[0].redirect"),
        ("{directResponse: {status: 700}}", "spec.http[0].directResponse.status"),
        (f"{{{ROUTE}, rewrite: {{}}}}", "spec.http[0].rewrite"),
        (
            f"{{{ROUTE}, rewrite: {{uriRegexRewrite: {{match: '(', rewrite: x}}}}}}",
            "spec.http[0].rewrite.uriRegexRewrite.match",
        ),
        (f"{{match: [{{uri: {{regex: '(?=a)'}}}}], {ROUTE}}}", "spec.http[0].match[0].uri.regex"),
        (f"{{match: [{{uri: {{exact: a, prefix: b}}}}], {ROUTE}}}", "spec.http[0].match[0].uri"),
        (f"{{match: [{{headers: {{x: {{prefix: ''}}}}}}], {ROUTE}}}", "spec.http[0].match[0].headers.x.prefix"),
        (
            f"{{match: [{{headers: {{'@request.auth.claims.sub': {{exact: a}}}}}}], {ROUTE}}}",
            "spec.http[0].match[0].headers.@request.auth.claims.sub",
        ),
        (f"{{{ROUTE}, delegate: {{name: other}}}}", "spec.http[0].route"),
        ("{redirect: {uri: /a}, delegate: {name: other}}", "spec.http[0].redirect"),
        ("{delegate: {name: other}, timeout: soon}", "spec.http[0].timeout"),
        (f"{{{ROUTE}, mirror: {{host: a}}, mirrorPercentage: {{value: 200}}}}", "spec.http[0].mirrorPercentage.value"),
        (f"{{{ROUTE}, corsPolicy: {{allowMethods: [JUMP]}}}}", "spec.http[0].corsPolicy.allowMethods[0]"),
        (f"{{{ROUTE}, nonsense: 1}}", "spec.http[0]"),
        (f"{{{ROUTE}, headers: {{request: {{set: {{'': x}}}}}}}}", "spec.http[0].headers.request.set."),
    ],
)
def test_mistake_in_a_route_is_named_by_its_path(http: str, path: str) -> None:
    [problem] = problems(virtual_service(http))
    assert problem.startswith(f"test.yaml: VirtualService shop/v: {path}: ")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (virtual_service(f"{{{ROUTE}}}", hosts="['*']"), "VirtualService shop/v: spec.hosts[0]"),
        (virtual_service(f"{{{ROUTE}}}", hosts="[inventory, inventory]"), "VirtualService shop/v: spec.hosts[1]"),
        (virtual_service(f"{{{ROUTE}}}", hosts="[]", more="gateways: [edge],"), "VirtualService shop/v: spec.gateways"),
        (f"{HEAD}{{hosts: [a]}}}}", "VirtualService shop/v: spec.http"),
        (f"{HEAD}{{hosts: [a], tcp: []}}}}", "VirtualService shop/v: spec.tcp"),
        ("{apiVersion: v1, kind: Secret, metadata: {name: a}}", "document 1: kind"),
        ("{apiVersion: networking.istio.io/v9, kind: Sidecar, metadata: {name: a}}", "Sidecar default/a: apiVersion"),
        ("{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {}}", "Sidecar (document 1): metadata.name"),
    ],
)
def test_mistake_in_a_resource_is_named_by_its_path(text: str, path: str) -> None:
    assert f"test.yaml: {path}: " in "\n".join(problems(text))


def resource(kind: str, spec: str, group: str = "networking.istio.io/v1") -> str:
    return f"{{apiVersion: {group}, kind: {kind}, metadata: {{name: r, namespace: shop}}, spec: {spec}}}"


SECURITY = "security.istio.io/v1"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (resource("DestinationRule", "{host: a, trafficPolicy: {}}"), "spec.trafficPolicy"),
        (resource("DestinationRule", "{host: a, trafficPolicy: {connectionPool: {http: {maxRetries: -1}}}}"), "spec.trafficPolicy.connectionPool.http.maxRetries"),
        (resource("DestinationRule", "{host: a, trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}}"), "spec.trafficPolicy.outlierDetection.maxEjectionPercent"),
        (resource("DestinationRule", "{host: a, trafficPolicy: {outlierDetection: {consecutiveErrors: 3}}}"), "spec.trafficPolicy.outlierDetection.consecutiveErrors"),
        (resource("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}}"), "spec.trafficPolicy.loadBalancer.simple"),
        (resource("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 10}}}}}"), "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"),
        (resource("DestinationRule", "{host: a, trafficPolicy: {tls: {mode: MUTUAL}}}"), "spec.trafficPolicy.tls.privateKey"),
        (resource("DestinationRule", "{host: a, subsets: [{name: x}, {name: x}]}"), "spec.subsets[1].name"),
        (resource("ServiceEntry", "{hosts: [a.example], ports: [{number: 80, name: http}], resolution: NONE}"), "spec.resolution"),
        (resource("ServiceEntry", "{hosts: [a.example], ports: [{number: 80, name: http}], resolution: STATIC, endpoints: [{address: b.example}]}"), "spec.endpoints[0].address"),
        (resource("ServiceEntry", "{hosts: [a.example], ports: [{number: 80, name: http, protocol: PIGEON}], resolution: DNS}"), "spec.ports[0].protocol"),
        (resource("Gateway", "{servers: [{port: {number: 80, name: a, protocol: TCP}, hosts: ['*']}]}"), "spec.servers[0].port.protocol"),
        (resource("Gateway", "{servers: [{port: {number: 443, name: a, protocol: HTTPS}, hosts: ['*']}]}"), "spec.servers[0].tls"),
        (resource("Gateway", "{servers: [{port: {number: 443, name: a, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE}}]}"), "spec.servers[0].tls"),
        (resource("Sidecar", "{egress: [{hosts: [plain]}]}"), "spec.egress[0].hosts[0]"),
        (resource("Sidecar", "{outboundTrafficPolicy: {mode: ALLOW_ANY}}"), "spec.outboundTrafficPolicy.mode"),
        (resource("AuthorizationPolicy", "{action: DENY}", SECURITY), "spec.rules"),
        (resource("AuthorizationPolicy", "{action: CUSTOM, rules: [{}]}", SECURITY), "spec.action"),
        (resource("AuthorizationPolicy", "{rules: [{to: [{operation: {ports: [many]}}]}]}", SECURITY), "spec.rules[0].to[0].operation.ports[0]"),
        (resource("AuthorizationPolicy", "{rules: [{from: [{source: {ipBlocks: [here]}}]}]}", SECURITY), "spec.rules[0].from[0].source.ipBlocks[0]"),
        (resource("AuthorizationPolicy", "{rules: [{when: [{key: weather, values: [good]}]}]}", SECURITY), "spec.rules[0].when[0].key"),
        (resource("AuthorizationPolicy", "{rules: [{from: [{source: {}}]}]}", SECURITY), "spec.rules[0].from[0].source"),
        (resource("PeerAuthentication", "{portLevelMtls: {80: {mode: STRICT}}}", SECURITY), "spec"),
        (resource("RequestAuthentication", "{jwtRules: [{issuer: a}]}", SECURITY), "spec.jwtRules[0]"),
        (resource("RequestAuthentication", "{jwtRules: [{issuer: a, jwks: nonsense}]}", SECURITY), "spec.jwtRules[0].jwks"),
        (resource("EnvoyFilter", "{configPatches: [{applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {}}}]}", "networking.istio.io/v1alpha3"), "spec.configPatches[0].applyTo"),
        (resource("EnvoyFilter", "{configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {nonsense: 1}}}]}", "networking.istio.io/v1alpha3"), "spec.configPatches[0].patch.value"),
        (resource("EnvoyFilter", "{configPatches: [{applyTo: HTTP_FILTER, patch: {operation: INSERT_FIRST, value: {name: x, typed_config: {'@type': type.googleapis.com/envoy.none.Such}}}}]}", "networking.istio.io/v1alpha3"), "spec.configPatches[0].patch.value.typed_config.@type"),
        (resource("EnvoyFilter", "{configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {outlier_detection: {max_ejection_percent: 101}}}}]}", "networking.istio.io/v1alpha3"), "spec.configPatches[0].patch.value"),
        (resource("EnvoyFilter", "{configPatches: [{applyTo: CLUSTER, patch: {operation: ADD, value: {name: ''}}}]}", "networking.istio.io/v1alpha3"), "spec.configPatches[0].patch.value"),
    ],
)  # fmt: skip
def test_mistake_in_any_kind_is_named_by_its_path(text: str, path: str) -> None:
    found = problems(text)
    assert any(f"shop/r: {path}: " in problem for problem in found), found


def test_all_mistakes_are_reported_at_once() -> None:
    assert len(problems(virtual_service(f"{{{ROUTE}, timeout: x}}, {{{ROUTE}, timeout: y}}"))) == 2


POLICY = "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: shop}, spec: "


@pytest.mark.parametrize(
    "path", ["/{**}/foo/{*}", "/foo{*}", "/{*}/foo/{bar}", "/{*}/foo/*", "/a{", "/{**}/x/{**}", "/{*}/a b", "/{*}//x"]
)
@pytest.mark.parametrize("field", ["paths", "notPaths"])
def test_path_template_that_envoy_rejects_is_rejected(field: str, path: str) -> None:
    policy = f"{POLICY}{{rules: [{{to: [{{operation: {{{field}: ['{path}']}}}}]}}]}}}}"
    [problem] = problems(policy)
    assert f"spec.rules[0].to[0].operation.{field}[0]" in problem


@pytest.mark.parametrize("path", ["/{*}", "/{**}", "/a/{*}/b/{**}", "/{*}/{*}/", "/a*", "*/b", "/plain", "/{*}/a.b~c"])
def test_path_template_that_istio_accepts_is_accepted(path: str) -> None:
    assert read(f"{POLICY}{{rules: [{{to: [{{operation: {{paths: ['{path}']}}}}]}}]}}}}")


@pytest.mark.parametrize("number", [2**31, 2**40, -(2**31) - 1])
def test_number_out_of_range_is_named_by_its_path(number: int) -> None:
    [problem] = problems(virtual_service(f"{{{ROUTE}, retries: {{attempts: {number}}}}}"))
    assert "spec.http[0].retries.attempts" in problem
    assert str(number) in problem
