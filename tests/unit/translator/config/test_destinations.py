# ruff: noqa: E501  # a resource is easier to read on one line
"""
The translation of DestinationRules to clusters.
"""

from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from tests.unit.translator.rig import mesh

INVENTORY = "outbound|50051||inventory.shop.svc.cluster.local"
UNLIMITED = 4294967295


def rule(policy: str, *, host: str = "inventory", more: str = "", name: str = "rule") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: shop}}
spec:
  host: {host}
  trafficPolicy: {policy}
{more}
"""


def cluster(text: str = "", *, name: str = INVENTORY, workload: str = "orders-0") -> Any:
    [found] = [one for one in mesh(text)[workload].clusters if one.name == name]
    return found


def http_options(made: Any) -> Any:
    options = http_protocol_options_pb2.HttpProtocolOptions()
    made.typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].Unpack(options)
    return options


def test_without_a_rule_there_is_no_limit_and_no_outlier_detection() -> None:
    made = cluster()
    [thresholds] = made.circuit_breakers.thresholds
    limits = {
        thresholds.max_connections.value,
        thresholds.max_requests.value,
        thresholds.max_pending_requests.value,
        thresholds.max_retries.value,
    }
    assert limits == {UNLIMITED}
    assert not made.HasField("outlier_detection")
    assert made.lb_policy == cluster_pb2.Cluster.LEAST_REQUEST
    assert made.connect_timeout.seconds == 10


def test_port_named_grpc_is_called_with_http2() -> None:
    assert http_options(cluster()).explicit_http_config.HasField("http2_protocol_options")
    pages = cluster(name="outbound|80||pages.web.svc.cluster.local")
    assert http_options(pages).explicit_http_config.HasField("http_protocol_options")


def test_every_connection_pool_field_is_translated() -> None:
    made = cluster(
        rule("""
    connectionPool:
      tcp: {maxConnections: 1, connectTimeout: 30ms, maxConnectionDuration: 60s, idleTimeout: 3s, tcpKeepalive: {probes: 2, time: 9s, interval: 4s}}
      http: {http1MaxPendingRequests: 2, http2MaxRequests: 3, maxRetries: 4, maxRequestsPerConnection: 5, maxConcurrentStreams: 6, idleTimeout: 7s, http2KeepAlive: {interval: 8s, timeout: 1s}}
    retryBudget: {percent: 25, minRetryConcurrency: 9}
    """)
    )
    [thresholds] = made.circuit_breakers.thresholds
    assert (thresholds.max_connections.value, thresholds.max_pending_requests.value) == (1, 2)
    assert (thresholds.max_requests.value, thresholds.max_retries.value) == (3, 4)
    assert (thresholds.retry_budget.budget_percent.value, thresholds.retry_budget.min_retry_concurrency.value) == (
        25,
        9,
    )
    keepalive = made.upstream_connection_options.tcp_keepalive
    assert (keepalive.keepalive_probes.value, keepalive.keepalive_time.value, keepalive.keepalive_interval.value) == (
        2,
        9,
        4,
    )
    options = http_options(made)
    common, http2 = options.common_http_protocol_options, options.explicit_http_config.http2_protocol_options
    assert (common.max_requests_per_connection.value, common.idle_timeout.seconds) == (5, 7)
    assert common.max_connection_duration.seconds == 60
    assert (http2.max_concurrent_streams.value, http2.connection_keepalive.interval.seconds) == (6, 8)
    assert made.connect_timeout.nanos == 30_000_000


def test_outlier_detection_ejects_all_after_three_errors_and_never_panics() -> None:
    made = cluster(
        rule("""
    outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 0, interval: 1s, baseEjectionTime: 5s, maxEjectionPercent: 100}
    """)
    )
    found = made.outlier_detection
    assert (found.consecutive_5xx.value, found.enforcing_consecutive_5xx.value) == (3, 100)
    assert (found.consecutive_gateway_failure.value, found.enforcing_consecutive_gateway_failure.value) == (0, 0)
    assert (found.interval.seconds, found.base_ejection_time.seconds, found.max_ejection_percent.value) == (1, 5, 100)
    assert found.HasField("enforcing_success_rate")
    assert found.enforcing_success_rate.value == 0
    assert made.common_lb_config.HasField("healthy_panic_threshold")
    assert made.common_lb_config.healthy_panic_threshold.value == 0


def test_absent_fields_keep_envoys_defaults() -> None:
    found = cluster(rule("{outlierDetection: {interval: 1s}}")).outlier_detection
    assert not found.HasField("consecutive_5xx")
    assert not found.HasField("enforcing_consecutive_5xx")
    assert not found.HasField("max_ejection_percent")


def test_local_origin_errors_are_counted_separately_when_split() -> None:
    found = cluster(
        rule("{outlierDetection: {splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 4}}")
    ).outlier_detection
    assert found.split_external_local_origin_errors
    assert found.consecutive_local_origin_failure.value == 4
    assert found.enforcing_consecutive_local_origin_failure.value == 100
    assert found.HasField("enforcing_local_origin_success_rate")


@pytest.mark.parametrize(
    ("simple", "policy"),
    [("ROUND_ROBIN", 0), ("LEAST_REQUEST", 1), ("RANDOM", 3), ("LEAST_CONN", 1), ("UNSPECIFIED", 1)],
)
def test_simple_load_balancers(simple: str, policy: int) -> None:
    assert cluster(rule(f"{{loadBalancer: {{simple: {simple}}}}}")).lb_policy == policy


def test_consistent_hash_needs_the_cluster_and_the_route() -> None:
    text = rule("{loadBalancer: {consistentHash: {httpHeaderName: x-customer}}}")
    made = mesh(text)["orders-0"]
    [found] = [one for one in made.clusters if one.name == INVENTORY]
    assert found.lb_policy == cluster_pb2.Cluster.RING_HASH
    assert found.ring_hash_lb_config.minimum_ring_size.value == 1024
    [routes] = [one for one in made.routes if one.name == "50051"]
    [host] = [one for one in routes.virtual_hosts if one.name.startswith("inventory")]
    assert host.routes[0].route.hash_policy[0].header.header_name == "x-customer"


def test_maglev_and_ring_sizes() -> None:
    maglev = cluster(rule("{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 101}}}}"))
    assert (maglev.lb_policy, maglev.maglev_lb_config.table_size.value) == (cluster_pb2.Cluster.MAGLEV, 101)
    ring = cluster(rule("{loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 64}}}}"))
    assert ring.ring_hash_lb_config.minimum_ring_size.value == 64


def test_warm_up_starts_slowly() -> None:
    made = cluster(rule("{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 20s, minimumPercent: 5}}}"))
    slow = made.round_robin_lb_config.slow_start_config
    assert (slow.slow_start_window.seconds, slow.min_weight_percent.value) == (20, 5)


def test_subset_policy_replaces_blocks_and_port_policy_inherits_nothing() -> None:
    text = rule(
        """
    connectionPool: {tcp: {maxConnections: 1}}
    outlierDetection: {consecutive5xxErrors: 7}
    portLevelSettings: [{port: {number: 9000}, connectionPool: {tcp: {maxConnections: 2}}}]
    """,
        host="pages.web.svc.cluster.local",
        more="  subsets: [{name: blue, labels: {app: pages}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}}]",
    )
    pages = "pages.web.svc.cluster.local"
    whole = cluster(text, name=f"outbound|80||{pages}")
    port = cluster(text, name=f"outbound|9000||{pages}")
    subset = cluster(text, name=f"outbound|80|blue|{pages}")
    assert whole.circuit_breakers.thresholds[0].max_connections.value == 1
    assert port.circuit_breakers.thresholds[0].max_connections.value == 2
    assert not port.HasField("outlier_detection")
    assert subset.circuit_breakers.thresholds[0].max_connections.value == 3
    assert subset.outlier_detection.consecutive_5xx.value == 7


def test_sidecars_use_mutual_tls_automatically_and_plain_text_to_other_hosts() -> None:
    made = cluster()
    assert [match.name for match in made.transport_socket_matches] == ["tlsMode-istio", "tlsMode-disabled"]
    [assignment] = [a for a in mesh()["orders-0"].endpoints if a.cluster_name == INVENTORY]
    metadata = assignment.endpoints[0].lb_endpoints[0].metadata.filter_metadata["envoy.transport_socket_match"]
    assert metadata["tlsMode"] == "istio"


def test_mutual_tls_sets_sni_and_verifies_subject_alt_names() -> None:
    context = tls_pb2.UpstreamTlsContext()
    cluster(rule("{tls: {mode: ISTIO_MUTUAL}}")).transport_socket.typed_config.Unpack(context)
    assert context.sni == "outbound_.50051_._.inventory.shop.svc.cluster.local"
    common = context.common_tls_context
    names = common.combined_validation_context.default_validation_context.match_typed_subject_alt_names
    assert [name.matcher.exact for name in names] == ["spiffe://cluster.local/ns/shop/sa/inventory"]
    assert list(common.alpn_protocols) == ["istio", "h2"]
    assert common.tls_certificate_sds_secret_configs[0].name == "default"


def test_tls_can_be_turned_off() -> None:
    made = cluster(rule("{tls: {mode: DISABLE}}"))
    assert not made.HasField("transport_socket")
    assert not made.transport_socket_matches


def test_tls_origination_uses_the_rules_certificates() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank, namespace: shop}
spec:
  hosts: [bank.example]
  ports: [{number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bank, namespace: shop}
spec:
  host: bank.example
  trafficPolicy:
    tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem, sni: bank, subjectAltNames: [bank.example]}
"""
    made = cluster(text, name="outbound|443||bank.example")
    assert made.type == cluster_pb2.Cluster.STRICT_DNS
    context = tls_pb2.UpstreamTlsContext()
    made.transport_socket.typed_config.Unpack(context)
    assert context.sni == "bank"
    secrets = {secret.name: secret for secret in mesh(text)["orders-0"].secrets}
    assert secrets["file-cert:/c.pem~/k.pem"].tls_certificate.private_key.filename == "/k.pem"
    assert secrets["file-root:/ca.pem"].validation_context.trusted_ca.filename == "/ca.pem"


def test_rule_of_the_clients_namespace_comes_before_the_services() -> None:
    text = rule("{connectionPool: {tcp: {maxConnections: 1}}}", host="pages.web.svc.cluster.local")
    other = text.replace("namespace: shop", "namespace: web").replace("maxConnections: 1", "maxConnections: 2")
    name = "outbound|80||pages.web.svc.cluster.local"
    assert cluster(f"{text}\n---\n{other}", name=name).circuit_breakers.thresholds[0].max_connections.value == 1
    seen = cluster(f"{text}\n---\n{other}", name=name, workload="pages-0")
    assert seen.circuit_breakers.thresholds[0].max_connections.value == 2


def test_exact_host_comes_before_a_wildcard() -> None:
    wide = rule("{connectionPool: {tcp: {maxConnections: 1}}}", host='"*.local"', name="a")
    exact = rule("{connectionPool: {tcp: {maxConnections: 2}}}", name="b")
    assert cluster(f"{wide}\n---\n{exact}").circuit_breakers.thresholds[0].max_connections.value == 2
    assert cluster(wide).circuit_breakers.thresholds[0].max_connections.value == 1


def test_inbound_clusters_use_the_connection_pool_only() -> None:
    text = rule("{connectionPool: {tcp: {maxConnections: 5}}, outlierDetection: {consecutive5xxErrors: 3}}")
    made = cluster(text, name="inbound|50051||", workload="inventory-0")
    assert made.circuit_breakers.thresholds[0].max_connections.value == 5
    assert not made.HasField("outlier_detection")
    socket = made.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
    assert (socket.address, socket.port_value) == ("127.30.2.1", 50061)


def test_sidecar_egress_limits_visible_services() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: shop}
spec:
  workloadSelector: {labels: {app: orders}}
  egress: [{hosts: ["./inventory.shop.svc.cluster.local"]}]
"""
    made = mesh(text)
    seen = [one.name for one in made["orders-0"].clusters if one.name.startswith("outbound")]
    assert seen == [INVENTORY]
    assert len([one for one in made["inventory-0"].clusters if one.name.startswith("outbound")]) == 4


def test_port_policy_of_a_subset_inherits_nothing_either() -> None:
    pages = "pages.web.svc.cluster.local"
    text = rule(
        "{outlierDetection: {consecutive5xxErrors: 7}}",
        host=pages,
        more="  subsets: [{name: blue, labels: {app: pages}, trafficPolicy: {portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnections: 4}}}]}}]",
    )
    of_port, of_other = (cluster(text, name=f"outbound|{port}|blue|{pages}") for port in (80, 9000))
    assert of_port.circuit_breakers.thresholds[0].max_connections.value == 4
    assert not of_port.HasField("outlier_detection")
    assert of_other.outlier_detection.consecutive_5xx.value == 7
