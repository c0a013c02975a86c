# ruff: noqa: E501  # a resource is easier to read on one line
"""
Access control: PeerAuthentication, AuthorizationPolicy and RequestAuthentication.
"""

import json
from typing import Any

import pytest
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from tests.unit.translator import simulation
from tests.unit.translator.rig import mesh
from tests.unit.translator.simulation import CLOSED, DENIED, Call

EDGE, ORDERS = "spiffe://cluster.local/ns/shop/sa/edge", "spiffe://cluster.local/ns/shop/sa/orders"
WEB = "spiffe://cluster.local/ns/web/sa/pages"
HOLD = "/shop.inventory.v1.InventoryService/HoldStock"


def peer(mode: str, *, namespace: str = "shop", more: str = "", name: str = "peer") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  mtls: {{mode: {mode}}}
{more}
"""


def policy(spec: str, *, name: str = "policy", namespace: str = "shop") -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def arrive(text: str, call: Call, *, workload: str = "inventory-0") -> simulation.Outcome:
    return simulation.inbound(mesh(text)[workload], 50051, call)


def mutual(path: str = HOLD, identity: str = ORDERS, **more: Any) -> Call:
    return Call("inventory.shop.svc.cluster.local", path, identity=identity, **more)


PLAIN = Call("inventory.shop.svc.cluster.local", HOLD)


@pytest.mark.parametrize(
    ("mode", "plain", "encrypted"), [("STRICT", False, True), ("PERMISSIVE", True, True), ("DISABLE", True, False)]
)
def test_mtls_mode_decides_between_plain_text_and_mutual_tls(mode: str, plain: bool, encrypted: bool) -> None:
    assert (arrive(peer(mode), PLAIN) != CLOSED) == plain
    assert (arrive(peer(mode), mutual()) != CLOSED) == encrypted


def test_without_a_policy_the_mode_is_permissive() -> None:
    assert arrive("", PLAIN) != CLOSED
    assert arrive("", mutual()) != CLOSED


def test_workload_policy_overrides_namespace_and_namespace_overrides_root() -> None:
    root, namespace = peer("DISABLE", namespace="istio-system", name="a"), peer("STRICT", name="b")
    own = peer("PERMISSIVE", name="c", more="  selector: {matchLabels: {version: v2}}")
    assert arrive(root, mutual()) == CLOSED
    assert arrive(f"{root}\n---\n{namespace}", PLAIN) == CLOSED
    both = f"{root}\n---\n{namespace}\n---\n{own}"
    assert arrive(both, PLAIN) == CLOSED
    assert arrive(both, PLAIN, workload="inventory-1") != CLOSED


def test_port_level_mode_overrides_the_workload() -> None:
    text = peer("STRICT", more="  selector: {matchLabels: {app: inventory}}\n  portLevelMtls: {50051: {mode: DISABLE}}")
    assert arrive(text, PLAIN) != CLOSED
    assert arrive(text, mutual()) == CLOSED


def test_clients_send_plain_text_to_servers_with_tls_disabled() -> None:
    made = mesh(peer("DISABLE"))["orders-0"]
    [assignment] = [a for a in made.endpoints if a.cluster_name.startswith("outbound|50051||inventory")]
    assert not assignment.endpoints[0].lb_endpoints[0].HasField("metadata")


def test_policy_without_rules_allows_nothing() -> None:
    assert arrive(policy("{}"), mutual()) == DENIED


def test_allow_rule_matches_principal_and_operation() -> None:
    text = policy("""
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/orders]}}]
    to: [{operation: {methods: [POST], paths: [/shop.inventory.v1.InventoryService/HoldStock]}}]
""")
    assert arrive(text, mutual()) not in (DENIED, CLOSED)
    assert arrive(text, mutual(identity=EDGE)) == DENIED
    assert arrive(text, mutual("/shop.inventory.v1.InventoryService/Restock")) == DENIED
    assert arrive(text, PLAIN) == DENIED


def test_deny_comes_before_allow() -> None:
    allow, deny = (
        policy("{rules: [{}]}", name="a"),
        policy("{action: DENY, rules: [{to: [{operation: {paths: ['*/Restock']}}]}]}", name="b"),
    )
    assert arrive(f"{allow}\n---\n{deny}", mutual()) not in (DENIED, CLOSED)
    assert arrive(f"{allow}\n---\n{deny}", mutual("/x/Restock")) == DENIED


def test_audit_and_dry_run_deny_nothing() -> None:
    assert arrive(policy("{action: AUDIT, rules: [{}]}"), mutual()) != DENIED
    dry = policy("{}").replace("namespace: shop}", "namespace: shop, annotations: {istio.io/dry-run: 'true'}}")
    assert arrive(dry, mutual()) != DENIED


@pytest.mark.parametrize(
    ("source", "identity", "allowed"),
    [
        ("namespaces: [shop]", ORDERS, True),
        ("namespaces: [shop]", WEB, False),
        ("namespaces: ['we*']", WEB, True),
        ("notNamespaces: [shop]", ORDERS, False),
        ("serviceAccounts: [orders]", ORDERS, True),
        ("serviceAccounts: [web/pages]", WEB, True),
        ("serviceAccounts: [order]", ORDERS, False),
        ("principals: ['*']", ORDERS, True),
        ("principals: ['*/sa/orders']", ORDERS, True),
        ("principals: ['cluster.local/ns/shop/*']", EDGE, True),
        ("notPrincipals: ['cluster.local/ns/shop/*']", EDGE, False),
        ("trustDomains: [cluster.local]", ORDERS, True),
        ("trustDomains: [other]", ORDERS, False),
    ],
)
def test_source_is_matched_by_its_certificate(source: str, identity: str, allowed: bool) -> None:
    text = policy(f"{{rules: [{{from: [{{source: {{{source}}}}}]}}]}}")
    assert (arrive(text, mutual(identity=identity)) != DENIED) == allowed


@pytest.mark.parametrize(
    ("operation", "allowed"),
    [
        ("paths: ['/shop.inventory.v1.InventoryService/*']", True),
        ("paths: ['*/HoldStock']", True),
        ("paths: ['/{*}/HoldStock']", True),
        ("paths: ['/other/{**}']", False),
        ("notPaths: ['*/HoldStock']", False),
        ("methods: [GET]", False),
        ("methods: ['PO*']", True),
        ("hosts: ['INVENTORY.shop*']", True),
        ("hosts: [elsewhere]", False),
    ],
)
def test_operation_is_matched_by_path_method_and_host(operation: str, allowed: bool) -> None:
    assert (arrive(policy(f"{{rules: [{{to: [{{operation: {{{operation}}}}}]}}]}}"), mutual()) != DENIED) == allowed


def test_when_conditions_match_headers_and_claims() -> None:
    header = policy("{rules: [{when: [{key: 'request.headers[x-role]', values: [operator]}]}]}")
    assert arrive(header, mutual(headers={"x-role": "operator"})) != DENIED
    assert arrive(header, mutual(headers={"x-role": "customer"})) == DENIED
    claim = policy("{rules: [{when: [{key: 'request.auth.claims[roles]', values: [operator]}]}]}")
    assert arrive(claim, mutual(claims={"roles": ["operator", "x"]})) != DENIED
    assert arrive(claim, mutual(claims={"roles": ["customer"]})) == DENIED
    unwanted = policy("{rules: [{when: [{key: 'request.auth.claims[a][b]', notValues: [c]}]}]}")
    assert arrive(unwanted, mutual(claims={"a": {"b": "c"}})) == DENIED


def test_request_principal_requires_a_token() -> None:
    anybody = policy("{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}")
    assert arrive(anybody, mutual()) == DENIED
    assert arrive(anybody, mutual(claims={"iss": "https://issuer", "sub": "anna"})) != DENIED
    one = policy("{rules: [{from: [{source: {requestPrincipals: ['https://issuer/anna']}}]}]}")
    assert arrive(one, mutual(claims={"iss": "https://issuer", "sub": "anna"})) != DENIED
    assert arrive(one, mutual(claims={"iss": "https://issuer", "sub": "bert"})) == DENIED


def test_selector_and_namespace_select_the_workloads() -> None:
    text = policy("{selector: {matchLabels: {version: v2}}}")
    assert arrive(text, mutual()) != DENIED
    assert arrive(text, mutual(), workload="inventory-1") == DENIED
    assert arrive(policy("{}", namespace="web"), mutual()) != DENIED
    assert arrive(policy("{}", namespace="istio-system"), mutual()) == DENIED


def jwt(text: str, workload: str = "edge-0") -> Any:
    gateway = """
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: edge}, servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""
    made = mesh(text + gateway)[workload]
    manager = hcm.HttpConnectionManager()
    made.listeners[0].filter_chains[0].filters[0].typed_config.Unpack(manager)
    config = config_pb2.JwtAuthentication()
    manager.http_filters[0].typed_config.Unpack(config)
    return config, made


def request_authentication(rules: str) -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: shop}}
spec:
  selector: {{matchLabels: {{istio: edge}}}}
  jwtRules: {rules}
"""


def test_token_is_verified_with_inline_keys_and_is_optional() -> None:
    keys = json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}]})
    config, _ = jwt(
        request_authentication(f"[{{issuer: a, audiences: [shop], jwks: '{keys}', forwardOriginalToken: true}}]")
    )
    provider = config.providers["origins-0"]
    assert (provider.issuer, list(provider.audiences), provider.local_jwks.inline_string) == ("a", ["shop"], keys)
    assert provider.forward
    assert provider.payload_in_metadata == "payload"
    assert config.bypass_cors_preflight
    [requirement] = config.rules
    either = requirement.requires.requires_any.requirements
    assert [one.WhichOneof("requires_type") for one in either] == ["provider_name", "allow_missing"]


def test_remote_keys_are_fetched_through_their_own_cluster() -> None:
    rule = "[{issuer: a, jwksUri: 'http://127.30.15.1:9000/jwks.json', outputClaimToHeaders: [{header: x-who, claim: sub}]}]"
    config, made = jwt(request_authentication(rule))
    provider = config.providers["origins-0"]
    assert provider.remote_jwks.http_uri.cluster == "outbound|9000||127.30.15.1"
    assert "outbound|9000||127.30.15.1" in [cluster.name for cluster in made.clusters]
    assert provider.claim_to_headers[0].header_name == "x-who"


def test_any_of_several_issuers_is_accepted() -> None:
    config, _ = jwt(
        request_authentication(
            "[{issuer: b, jwksUri: 'http://b.example/k'}, {issuer: a, jwksUri: 'https://a.example/k'}]"
        )
    )
    assert [config.providers[name].issuer for name in ("origins-0", "origins-1")] == ["a", "b"]
    kinds = [one.WhichOneof("requires_type") for one in config.rules[0].requires.requires_any.requirements]
    assert kinds == ["provider_name", "provider_name", "requires_all"]
