"""
DestinationRule connectionPool, outlierDetection and loadBalancer -> Envoy's cluster.

After istio: core/cluster_traffic_policy.go.
"""

from typing import TypeAlias

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import base_pb2, protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from translator.config.protoconv import duration, uint32
from translator.model.problems import BlockError
from translator.model.values import Block

UNLIMITED = 4294967295
DEFAULT_CONNECT_TIMEOUT = "10s"
RING_SIZE = 1024
RETRY_BUDGET_PERCENT, RETRY_BUDGET_CONCURRENCY = 20.0, 3
HttpOptions: TypeAlias = http_protocol_options_pb2.HttpProtocolOptions


def set_connection_pool(cluster: cluster_pb2.Cluster, policy: Block) -> None:
    """
    Set the limits on connections, requests and retries; what a rule does not limit is unlimited, as in Istio.
    """
    pool = policy.get("connectionPool", {})
    tcp, http = pool.get("tcp", {}), pool.get("http", {})
    cluster.connect_timeout.CopyFrom(duration(tcp.get("connectTimeout", DEFAULT_CONNECT_TIMEOUT)))
    limits = {
        "max_connections": tcp.get("maxConnections"),
        "max_pending_requests": http.get("http1MaxPendingRequests"),
        "max_requests": http.get("http2MaxRequests"),
        "max_retries": http.get("maxRetries"),
    }
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        track_remaining=True, **{name: uint32(_limit(value)) for name, value in limits.items()}
    )
    if "retryBudget" in policy:
        thresholds.retry_budget.CopyFrom(_retry_budget(policy["retryBudget"]))
    cluster.circuit_breakers.thresholds.append(thresholds)
    if "tcpKeepalive" in tcp:
        _set_keepalive(cluster, tcp["tcpKeepalive"])


def _limit(value: int | None) -> int:
    return value if value and value > 0 else UNLIMITED


def _retry_budget(block: Block) -> circuit_breaker_pb2.CircuitBreakers.Thresholds.RetryBudget:
    return circuit_breaker_pb2.CircuitBreakers.Thresholds.RetryBudget(
        budget_percent=percent_pb2.Percent(value=block.get("percent", RETRY_BUDGET_PERCENT)),
        min_retry_concurrency=uint32(block.get("minRetryConcurrency") or RETRY_BUDGET_CONCURRENCY),
    )


def _set_keepalive(cluster: cluster_pb2.Cluster, block: Block) -> None:
    keepalive = cluster.upstream_connection_options.tcp_keepalive
    keepalive.SetInParent()
    if "probes" in block:
        keepalive.keepalive_probes.value = block["probes"]
    if "time" in block:
        keepalive.keepalive_time.value = duration(block["time"]).seconds
    if "interval" in block:
        keepalive.keepalive_interval.value = duration(block["interval"]).seconds


def http_options(policy: Block, *, http2: bool) -> HttpOptions:
    """
    Return the HTTP protocol of the cluster; *http2* by the name of the port, unless the pool overrides it.
    """
    pool = policy.get("connectionPool", {})
    tcp, http = pool.get("tcp", {}), pool.get("http", {})
    options = HttpOptions()
    if http.get("useClientProtocol"):
        options.use_downstream_protocol_config.http_protocol_options.SetInParent()
        options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    elif http2 or http.get("h2UpgradePolicy") == "UPGRADE":
        options.explicit_http_config.http2_protocol_options.CopyFrom(_http2(http))
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    _set_common(options, tcp, http)
    return options


def _set_common(options: HttpOptions, tcp: Block, http: Block) -> None:
    common = options.common_http_protocol_options
    idle = http.get("idleTimeout", tcp.get("idleTimeout"))
    if idle is not None:
        common.idle_timeout.CopyFrom(duration(idle))
    if http.get("maxRequestsPerConnection", 0) > 0:
        common.max_requests_per_connection.value = http["maxRequestsPerConnection"]
    if "maxConnectionDuration" in tcp:
        common.max_connection_duration.CopyFrom(duration(tcp["maxConnectionDuration"]))


def _http2(http: Block) -> protocol_pb2.Http2ProtocolOptions:
    options = protocol_pb2.Http2ProtocolOptions()
    if http.get("maxConcurrentStreams", 0) > 0:
        options.max_concurrent_streams.value = http["maxConcurrentStreams"]
    for field, name in (("interval", "interval"), ("timeout", "timeout")):
        if name in http.get("http2KeepAlive", {}):
            getattr(options.connection_keepalive, field).CopyFrom(duration(http["http2KeepAlive"][name]))
    return options


def set_outlier_detection(cluster: cluster_pb2.Cluster, block: Block | None) -> None:
    """
    Set when a host is ejected and for how long; the panic threshold is off unless the rule sets it.
    """
    if block is None:
        return
    detection = outlier_detection_pb2.OutlierDetection(enforcing_success_rate=uint32(0))
    counted = (
        ("consecutive5xxErrors", detection.consecutive_5xx, detection.enforcing_consecutive_5xx),
        (
            "consecutiveGatewayErrors",
            detection.consecutive_gateway_failure,
            detection.enforcing_consecutive_gateway_failure,
        ),
    )
    for name, errors, enforcing in counted:
        if name in block:
            errors.value = block[name]
            enforcing.value = 100 if block[name] else 0
    if block.get("splitExternalLocalOriginErrors"):
        _split_local_errors(detection, block)
    for name, time in (("interval", detection.interval), ("baseEjectionTime", detection.base_ejection_time)):
        if name in block:
            time.CopyFrom(duration(block[name]))
    if block.get("maxEjectionPercent", 0) > 0:
        detection.max_ejection_percent.value = block["maxEjectionPercent"]
    cluster.outlier_detection.CopyFrom(detection)
    if block.get("minHealthPercent", 0) >= 0:
        cluster.common_lb_config.healthy_panic_threshold.value = block.get("minHealthPercent", 0)


def _split_local_errors(detection: outlier_detection_pb2.OutlierDetection, block: Block) -> None:
    detection.split_external_local_origin_errors = True
    if block.get("consecutiveLocalOriginFailures"):
        detection.consecutive_local_origin_failure.value = block["consecutiveLocalOriginFailures"]
        detection.enforcing_consecutive_local_origin_failure.value = 100
    detection.enforcing_local_origin_success_rate.value = 0


def set_load_balancer(cluster: cluster_pb2.Cluster, block: Block) -> None:
    """
    Set the load balancing policy: least request unless the rule says otherwise.
    """
    policies = cluster_pb2.Cluster
    simple = block.get("simple", "UNSPECIFIED")
    slow_start = _slow_start(block)
    if "consistentHash" in block:
        _set_consistent_hash(cluster, block["consistentHash"])
    elif simple == "RANDOM":
        cluster.lb_policy = policies.RANDOM
    elif simple == "ROUND_ROBIN":
        cluster.lb_policy = policies.ROUND_ROBIN
        if slow_start:
            cluster.round_robin_lb_config.slow_start_config.CopyFrom(slow_start)
    elif simple in ("UNSPECIFIED", "LEAST_REQUEST", "LEAST_CONN"):
        cluster.lb_policy = policies.LEAST_REQUEST
        if slow_start:
            cluster.least_request_lb_config.slow_start_config.CopyFrom(slow_start)
    else:
        raise BlockError(
            "loadBalancer.simple", f"{simple} is not supported: there is no original destination without interception"
        )


def _slow_start(block: Block) -> cluster_pb2.Cluster.SlowStartConfig | None:
    if "warmup" in block:
        warmup = block["warmup"]
        return cluster_pb2.Cluster.SlowStartConfig(
            slow_start_window=duration(warmup["duration"]),
            aggression=base_pb2.RuntimeDouble(default_value=warmup.get("aggression", 1.0), runtime_key="("),
            min_weight_percent=percent_pb2.Percent(value=warmup.get("minimumPercent", 10.0)),
        )
    if "warmupDurationSecs" in block:
        return cluster_pb2.Cluster.SlowStartConfig(slow_start_window=duration(block["warmupDurationSecs"]))
    return None


def _set_consistent_hash(cluster: cluster_pb2.Cluster, block: Block) -> None:
    if "maglev" in block:
        cluster.lb_policy = cluster_pb2.Cluster.MAGLEV
        if block["maglev"].get("tableSize"):
            cluster.maglev_lb_config.table_size.CopyFrom(wrappers_pb2.UInt64Value(value=block["maglev"]["tableSize"]))
        return
    cluster.lb_policy = cluster_pb2.Cluster.RING_HASH
    size = (
        block["ringHash"].get("minimumRingSize", 0)
        if "ringHash" in block
        else block.get("minimumRingSize", 0) or RING_SIZE
    )
    if size:
        cluster.ring_hash_lb_config.minimum_ring_size.CopyFrom(wrappers_pb2.UInt64Value(value=size))
