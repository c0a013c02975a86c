"""The panels of the dashboards with their Prometheus queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EDGE = 'service="edge", http_conn_manager_prefix=~"outbound_.*"'
OUTBOUND = 'cluster_name=~"outbound.*"'
# Long enough for four scrapes at any zoom level.
RATE = "$__rate_interval"
WINDOWS = ("1h", "1d", "7d", "30d")


@dataclass(frozen=True)
class Panel:
    """A chart: its title, its queries by legend, and the unit of its axis (Grafana's name)."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    about: str = ""


@dataclass(frozen=True)
class Board:
    """A dashboard: its uid, its title, and its rows."""

    uid: str
    title: str
    rows: Mapping[str, Sequence[Panel]]


def quantiles(histogram: str, by: str = "", matchers: str = "") -> dict[str, str]:
    """
    Return the median and the 99th percentile of a histogram, for each value of the label *by*.
    """
    labels = f"le, {by}" if by else "le"
    name = f" {{{{{by}}}}}" if by else ""
    return {
        f"p{percent}{name}": f"histogram_quantile(0.{percent}, sum by ({labels}) "
        f"(rate({histogram}_bucket{{{matchers}}}[{RATE}])))"
        for percent in (50, 99)
    }


def rate(counter: str, by: str, matchers: str = "") -> dict[str, str]:
    """
    Return the rate of a counter, for each value of the labels *by*.
    """
    name = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return {name: f"sum by ({by}) (rate({counter}{{{matchers}}}[{RATE}]))"}


def hop(metric: str, matchers: str = OUTBOUND) -> dict[str, str]:
    """
    Return the rate of a counter for each hop.
    """
    return rate(metric, "service, cluster_name", matchers)


ORDERS = Board(
    "shop-orders",
    "Shop: an order's path",
    {
        "At the edge": [
            Panel("Responses by code", rate("envoy_http_downstream_rq", "response_code_class", EDGE), "reqps"),
            Panel("Response time", quantiles("envoy_http_downstream_rq_time", matchers=EDGE), "ms"),
            Panel(
                "Responses to gRPC clients by status",
                rate("envoy_cluster_grpc", "grpc_status", 'service="edge"'),
                "reqps",
            ),
        ],
        "Orders": [
            Panel("Accepted, by initial state", rate("orders_placed_total", "state"), "ops"),
            Panel("Idempotent replays", {"replays": f"sum(rate(orders_replayed_total[{RATE}]))"}, "ops"),
            Panel("Method latency", quantiles("grpc_server_handling_seconds", "grpc_method", 'service="orders"'), "s"),
            Panel("Responses by code", rate("grpc_server_handled_total", "grpc_code", 'service="orders"'), "reqps"),
        ],
        "Stock": [
            Panel("Holds, by outcome", rate("orders_holds_total", "outcome"), "ops"),
            Panel("Order events, by outcome", rate("inventory_order_events_total", "outcome"), "ops"),
            Panel("Open breakers, as seen by orders", {"{{pod}} {{host}}": "orders_breaker_open"}),
            Panel("Expired leases", {"expired": f"sum(rate(inventory_expired_leases_total[{RATE}]))"}, "ops"),
        ],
        "Backlog": [
            Panel("Pending orders", {"orders": "max(orders_pending)"}),
            Panel("Age of the oldest", {"oldest": "max(orders_pending_oldest_seconds)"}, "s"),
            Panel("Time from acceptance to the final state", quantiles("orders_saga_seconds"), "s"),
            Panel("Completed by the saga, by state", rate("orders_saga_ended_total", "state"), "ops"),
            Panel("Outbox rows", {"rows": "max(outbox_waiting_rows)"}),
            Panel("Age of the oldest outbox row", {"outbox": "max(outbox_lag_seconds)"}, "s"),
            Panel("Consumer lag", {"{{topic}}": "topic:consumer_lag:sum"}),
            Panel("Dead letters", {"{{topic}}": "max by (topic) (orders_dead_letters)"}),
        ],
    },
)
MESH = Board(
    "shop-mesh",
    "Shop: the mesh",
    {
        "Calls": [
            Panel("Calls", hop("envoy_cluster_upstream_rq_completed"), "reqps"),
            Panel(
                "Failed calls",
                hop("envoy_cluster_upstream_rq", f'{OUTBOUND}, response_code_class="5xx"'),
                "reqps",
                "JSON clients only; those of gRPC clients are among the statuses.",
            ),
            Panel(
                "gRPC statuses",
                rate("envoy_cluster_grpc", "service, cluster_name, grpc_status", OUTBOUND),
                "reqps",
            ),
            Panel(
                "p99 latency of calls",
                {
                    "{{service}} {{cluster_name}}": "histogram_quantile(0.99, sum by (le, service, cluster_name) "
                    f"(rate(envoy_cluster_upstream_rq_time_bucket{{{OUTBOUND}}}[{RATE}])))"
                },
                "ms",
            ),
        ],
        "Breakers": [
            Panel("Retries", hop("envoy_cluster_upstream_rq_retry"), "reqps"),
            Panel("Refused: too many pending", hop("envoy_cluster_upstream_rq_pending_overflow"), "reqps"),
            Panel("Refused: no healthy host", hop("envoy_cluster_upstream_cx_none_healthy"), "reqps"),
            Panel(
                "Ejected hosts",
                {
                    "{{pod}} {{cluster_name}}": "sum by (pod, cluster_name) "
                    f"(envoy_cluster_outlier_detection_ejections_active{{{OUTBOUND}}})"
                },
            ),
        ],
        "Configuration": [
            Panel("Files that an Envoy has not loaded", {"{{workload}}": "mesh_envoy_stale_files"}),
            Panel("Files refused", {"refused": "mesh_configuration_refused"}),
            Panel(
                "Findings in the files in force",
                {"{{level}}": "mesh_configuration_findings"},
                about="As istioctl analyze reports them, on one machine only; make status has the words.",
            ),
        ],
        "Replicas": [
            Panel("Applications up", {"{{service}}": 'sum by (service) (up{job="applications"})'}),
            Panel("Envoys up", {"{{service}}": 'sum by (service) (up{job="envoys"})'}),
            Panel("CPU", rate("process_cpu_seconds_total", "pod", 'job="applications"'), "percentunit"),
            Panel("Memory", {"{{pod}}": 'process_resident_memory_bytes{job="applications"}'}, "bytes"),
            Panel("Calls in flight", {"{{pod}} {{kind}}": "grpc_server_in_flight"}),
            Panel(
                "Event loop: p99 of a timer's delay",
                {
                    "{{pod}}": "histogram_quantile(0.99, sum by (le, pod) "
                    f"(rate(event_loop_lag_seconds_bucket[{RATE}])))"
                },
                "s",
                "By a long turn, by the garbage collector, or by a CPU that was not to be had.",
            ),
        ],
    },
)
SLO = Board(
    "shop-slo",
    "Shop: service level objectives",
    {
        "Availability": [
            Panel("Over five minutes", {"{{service}} {{sli}}": "sli:availability:5m"}, "percentunit"),
            *(
                Panel(f"Over {window}", {"{{service}} {{sli}}": f"sli:availability:{window}"}, "percentunit")
                for window in WINDOWS
            ),
        ],
        "Error budget remaining": [
            Panel(f"Over {window}", {"{{service}} {{sli}}": f"slo:error_budget_remaining:{window}"}, "percentunit")
            for window in WINDOWS
        ],
        "Orders from outside": [
            Panel("Placed and cancelled, by outcome", rate("probe_orders_total", "outcome"), "ops"),
            Panel("Failures", rate("probe_failures_total", "step, reason"), "ops"),
            Panel("Response time", quantiles("probe_seconds", "step"), "s"),
        ],
        "Outages of the edge": [
            Panel("Out", {"out": "edge:outage"}),
            Panel("Seconds of outage", {window: f"edge:outage_seconds:{window}" for window in WINDOWS}, "s"),
            Panel("Mean time to recover", {w: f"edge:time_to_recovery_seconds:{w}" for w in WINDOWS}, "s"),
            Panel("Longest outage", {w: f"edge:longest_outage_seconds:{w}" for w in WINDOWS}, "s"),
        ],
    },
)
