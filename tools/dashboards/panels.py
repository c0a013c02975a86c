"""What the dashboards show: rows of panels, each with its queries of Prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EDGE = 'service="edge", http_conn_manager_prefix=~"outbound_.*"'
OUTBOUND = 'cluster_name=~"outbound.*"'
# Long enough for four scrapes at any zoom.
RATE = "$__rate_interval"
WINDOWS = ("1h", "1d", "7d", "30d")


@dataclass(frozen=True)
class Panel:
    """A chart: its title, its queries by what a line of theirs is called, and the unit of its axis (Grafana's name)."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    about: str = ""


@dataclass(frozen=True)
class Board:
    """A dashboard: its id in the address, its title, and its rows."""

    uid: str
    title: str
    rows: Mapping[str, Sequence[Panel]]


def quantiles(histogram: str, by: str = "", matchers: str = "") -> dict[str, str]:
    """
    The middle and the slowest hundredth of a histogram, for each value of the label *by*.
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
    What is counted a second, for each value of the labels *by*.
    """
    name = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return {name: f"sum by ({by}) (rate({counter}{{{matchers}}}[{RATE}]))"}


def hop(metric: str, matchers: str = OUTBOUND) -> dict[str, str]:
    """
    What is counted a second of each hop.
    """
    return rate(metric, "service, cluster_name", matchers)


ORDERS = Board(
    "shop-orders",
    "Shop: the way of an order",
    {
        "At the edge": [
            Panel("Answers by code", rate("envoy_http_downstream_rq", "response_code_class", EDGE), "reqps"),
            Panel("Time to an answer", quantiles("envoy_http_downstream_rq_time", matchers=EDGE), "ms"),
            Panel(
                "Answers to gRPC clients by status",
                rate("envoy_cluster_grpc", "grpc_status", 'service="edge"'),
                "reqps",
            ),
        ],
        "Orders": [
            Panel("Accepted, by state then", rate("orders_placed_total", "state"), "ops"),
            Panel("Repeats answered as before", {"replays": f"sum(rate(orders_replayed_total[{RATE}]))"}, "ops"),
            Panel(
                "Time in a method", quantiles("grpc_server_handling_seconds", "grpc_method", 'service="orders"'), "s"
            ),
            Panel("Answers by code", rate("grpc_server_handled_total", "grpc_code", 'service="orders"'), "reqps"),
        ],
        "Stock": [
            Panel("Holds asked for, by outcome", rate("orders_holds_total", "outcome"), "ops"),
            Panel("Order events, by outcome", rate("inventory_order_events_total", "outcome"), "ops"),
            Panel("Breakers that orders see open", {"{{pod}} {{host}}": "orders_breaker_open"}),
            Panel("Leases that ended", {"expired": f"sum(rate(inventory_expired_leases_total[{RATE}]))"}, "ops"),
        ],
        "What waits": [
            Panel("Pending orders", {"orders": "max(orders_pending)"}),
            Panel("Age of the oldest", {"oldest": "max(orders_pending_oldest_seconds)"}, "s"),
            Panel("Time from acceptance to an end", quantiles("orders_saga_seconds"), "s"),
            Panel("Ended by the saga, by state", rate("orders_saga_ended_total", "state"), "ops"),
            Panel("Outbox rows", {"rows": "max(outbox_waiting_rows)"}),
            Panel("Age of the oldest outbox row", {"outbox": "max(outbox_lag_seconds)"}, "s"),
            Panel("Messages not processed yet", {"{{topic}}": "topic:consumer_lag:sum"}),
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
                "Of JSON clients; those of gRPC's are among the statuses.",
            ),
            Panel(
                "gRPC statuses",
                rate("envoy_cluster_grpc", "service, cluster_name, grpc_status", OUTBOUND),
                "reqps",
            ),
            Panel(
                "Time of a call, the slowest hundredth",
                {
                    "{{service}} {{cluster_name}}": "histogram_quantile(0.99, sum by (le, service, cluster_name) "
                    f"(rate(envoy_cluster_upstream_rq_time_bucket{{{OUTBOUND}}}[{RATE}])))"
                },
                "ms",
            ),
        ],
        "Breakers": [
            Panel("Retries", hop("envoy_cluster_upstream_rq_retry"), "reqps"),
            Panel("Refused, because too many wait", hop("envoy_cluster_upstream_rq_pending_overflow"), "reqps"),
            Panel("Refused, because no host is left", hop("envoy_cluster_upstream_cx_none_healthy"), "reqps"),
            Panel(
                "Ejected hosts",
                {
                    "{{pod}} {{cluster_name}}": "sum by (pod, cluster_name) "
                    f"(envoy_cluster_outlier_detection_ejections_active{{{OUTBOUND}}})"
                },
            ),
        ],
        "Replicas": [
            Panel("Applications that answer", {"{{service}}": 'sum by (service) (up{job="applications"})'}),
            Panel("Envoys that answer", {"{{service}}": 'sum by (service) (up{job="envoys"})'}),
            Panel("CPU", rate("process_cpu_seconds_total", "pod", 'job="applications"'), "percentunit"),
            Panel("Memory", {"{{pod}}": 'process_resident_memory_bytes{job="applications"}'}, "bytes"),
            Panel("Calls being worked on", {"{{pod}} {{kind}}": "grpc_server_in_flight"}),
        ],
    },
)
STORES = Board(
    "shop-stores",
    "Shop: the stores",
    {
        "PostgreSQL": [
            Panel("Primaries", {"primaries": "sum(patroni_primary)"}),
            Panel("Members that run", {"{{pod}}": "patroni_postgres_running"}),
            Panel("Replicas that stream", {"{{pod}}": "patroni_postgres_streaming"}),
            Panel("Synchronous second copy", {"{{pod}}": "patroni_sync_standby"}),
        ],
        "Redis": [
            Panel("Answers", {"{{pod}}": "inventory_redis_up"}),
            Panel("Memory used", {"of what it may have": "max(inventory_redis_memory_used_ratio)"}, "percentunit"),
            Panel("Stock events that wait for Kafka", {"events": "max(inventory_stock_events_backlog)"}),
            Panel("Generation of the stock", {"generation": "max(inventory_generation)"}),
        ],
        "Kafka": [
            Panel("Messages consumed", rate("consumed_messages_total", "group"), "ops"),
            Panel("Rows published", rate("outbox_published_total", "topic"), "ops"),
            Panel("Time from delivery to effect", quantiles("consumed_batch_seconds", "group"), "s"),
            Panel("Consumers that began anew", rate("consumer_restarts_total", "group"), "ops"),
        ],
        "Bookkeeping": [
            Panel("Products that do not add up", {"products": "max(inventory_unbalanced_products)"}),
            Panel("Units sold that were not there", {"units": "max(inventory_short_units)"}),
            Panel("Products that run out", {"products": "max(inventory_low_stock_products)"}),
        ],
    },
)
SLO = Board(
    "shop-slo",
    "Shop: what was promised",
    {
        "Availability": [
            Panel("Of five minutes", {"{{service}} {{sli}}": "sli:availability:5m"}, "percentunit"),
            *(
                Panel(f"Of {window}", {"{{service}} {{sli}}": f"sli:availability:{window}"}, "percentunit")
                for window in WINDOWS
            ),
        ],
        "Error budget left": [
            Panel(f"Of {window}", {"{{service}} {{sli}}": f"slo:error_budget_remaining:{window}"}, "percentunit")
            for window in WINDOWS
        ],
        "Outages of the edge": [
            Panel("Out", {"out": "edge:outage"}),
            Panel("Seconds out", {window: f"edge:outage_seconds:{window}" for window in WINDOWS}, "s"),
            Panel("Mean time to recover", {w: f"edge:time_to_recovery_seconds:{w}" for w in WINDOWS}, "s"),
            Panel("Longest outage", {w: f"edge:longest_outage_seconds:{w}" for w in WINDOWS}, "s"),
        ],
    },
)
BOARDS = (ORDERS, MESH, STORES, SLO)
