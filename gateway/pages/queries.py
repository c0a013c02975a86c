"""The board's queries to Prometheus, by the board's own names."""

from __future__ import annotations

# A bit more than three scrape intervals, so that a rate exists even if one scrape was missed.
WINDOW = "20s"
HOUR = "1h"
OUTBOUND = 'cluster_name=~"outbound.*"'


def _rate(metric: str, matchers: str = OUTBOUND) -> str:
    return f"sum by (service, cluster_name) (rate({metric}{{{matchers}}}[{WINDOW}]))"


def _per_pod(metric: str) -> str:
    return f"sum by (service, pod, cluster_name) ({metric}{{{OUTBOUND}}})"


CALLS = {
    "calls": f"sum by (service, cluster_name) (envoy_cluster_upstream_rq_total{{{OUTBOUND}}})",
    "rate": _rate("envoy_cluster_upstream_rq_completed"),
    "errors": _rate("envoy_cluster_upstream_rq", f'{OUTBOUND}, response_code_class="5xx"'),
    "retries": _rate("envoy_cluster_upstream_rq_retry"),
    "overflow": _rate("envoy_cluster_upstream_rq_pending_overflow"),
    "p99_ms": (
        "histogram_quantile(0.99, sum by (le, service, cluster_name) "
        f"(rate(envoy_cluster_upstream_rq_time_bucket{{{OUTBOUND}}}[{WINDOW}])))"
    ),
}
BREAKERS = {
    # The calls of a service are taken from an hour and all its sidecars: a new one has not called anything yet.
    "calls": f"sum by (service, cluster_name) (max_over_time(envoy_cluster_upstream_rq_total{{{OUTBOUND}}}[{HOUR}]))",
    # Calls that found no healthy host; they are not counted above.
    "uncallable": f"sum by (service, cluster_name) (envoy_cluster_upstream_cx_none_healthy{{{OUTBOUND}}})",
    "ejected": _per_pod("envoy_cluster_outlier_detection_ejections_active"),
    "hosts": _per_pod("envoy_cluster_membership_total"),
    "ejections": f"sum by (service, pod, cluster_name) "
    f"(increase(envoy_cluster_outlier_detection_ejections_enforced_total{{{OUTBOUND}}}[{HOUR}]))",
}
PODS = {
    "up": 'max by (service, pod) (up{job="applications"})',
    "proxy_up": 'max by (service, pod) (up{job="envoys"})',
    "restarts": f'sum by (service, pod) (changes(process_start_time_seconds{{job="applications"}}[{HOUR}]))',
    # An Envoy that restarts in the same pod counts from zero.
    "proxy_restarts": f"sum by (service, pod) (resets(envoy_server_uptime{{}}[{HOUR}]))",
    "started": 'max by (service, pod) (process_start_time_seconds{job="applications"})',
}
# Every replica exports the same gauge for the whole system: the maximum is the most recent.
NUMBERS = {
    "orders_pending": "max(orders_pending)",
    "orders_pending_oldest_s": "max(orders_pending_oldest_seconds)",
    "dead_letters": "sum(max by (topic) (orders_dead_letters))",
    "outbox_waiting": "max(outbox_waiting_rows)",
    "outbox_lag_s": "max(outbox_lag_seconds)",
    "outbox_refused": "max(outbox_refused_rows)",
    "stock_events_waiting": "max(inventory_stock_events_backlog)",
    "stock_events_lag_s": "max(inventory_stock_events_lag_seconds)",
    "unbalanced_products": "max(inventory_unbalanced_products)",
    "short_units": "max(inventory_short_units)",
    "low_products": "max(inventory_low_stock_products)",
    "generation": "max(inventory_generation)",
    "watchers": "sum(orders_watchers)",
    "breakers_scraped_s": 'time() - min(timestamp(up{job="envoys"}))',
}
_PLACED = f"sum by (state) (increase(orders_placed_total[{HOUR}]))"
GROUPS = {
    # Customers' orders: without those of the prober, if there is one.
    "orders_placed_1h": (
        "state",
        f"clamp_min({_PLACED} - (sum by (state) (increase(probe_orders_placed_total[{HOUR}])) or 0 * {_PLACED}), 0)",
    ),
    "consumer_lag": ("topic", "sum by (topic) (max by (topic, partition) (kafka_consumer_lag))"),
}
# The queries behind the board's figures, which link to their graphs.
FIGURES = {
    **{name: NUMBERS[name] for name in ("orders_pending", "outbox_waiting", "dead_letters", "unbalanced_products")},
    **{name: CALLS[name] for name in ("rate", "errors", "p99_ms")},
    "ejected": BREAKERS["ejected"],
}
# A pod is up if its application and its proxy are; the edge is only a proxy.
AVAILABILITY = 'min by (service, pod) (up{job=~"applications|envoys"})'
# The value is the time at which an alert's condition began to hold. The watchdog always fires and is not shown.
ALERTS = 'ALERTS_FOR_STATE{severity!="none"} and ignoring (alertstate) ALERTS{alertstate="firing"}'


# The shortest period of a rate in a history: twelve scrapes.
RATE_S = 60
EDGE = 'service="edge", http_conn_manager_prefix=~"outbound_.*"'
FAULTS = "2|4|13|14|15"


def history(window: str) -> dict[str, str]:
    """Return the queries of the charts of the whole system, with rates over *window* (`60s`)."""
    failed = (
        f'sum(rate(envoy_http_downstream_rq{{{EDGE}, response_code_class="5xx"}}[{window}])) + (sum(rate('
        f'envoy_cluster_grpc{{service="edge", {OUTBOUND}, grpc_status=~"{FAULTS}"}}[{window}])) or vector(0))'
    )
    return {
        "rate": f"sum(rate(envoy_http_downstream_rq{{{EDGE}}}[{window}]))",
        "errors": failed,
        "latency": _p50_and_p99(f"rate(envoy_http_downstream_rq_time_bucket{{{EDGE}}}[{window}])"),
        "availability": "sum by (sli) (label_replace(sli:availability:5m"
        '{sli=~"web|probe"}, "sli", "from outside", "sli", "probe"))',
        "pending": "max(orders_pending)",
        "outbox": "max(outbox_lag_seconds)",
        "lag": "sum by (topic) (max by (topic, partition) (kafka_consumer_lag))",
        "ejected": f"sum by (service) (envoy_cluster_outlier_detection_ejections_active{{{OUTBOUND}}})",
    }


def hop(caller: str, callee: str, window: str) -> dict[str, str]:
    """Return the queries of the charts of one service's calls to another, whose names are safe in a query."""
    calls = f'service="{caller}", cluster_name=~"outbound[|][^|]*[|][^|]*[|]{callee}[.].*"'

    def rate(metric: str, further: str = "") -> str:
        return f"sum(rate({metric}{{{calls}{further}}}[{window}]))"

    faults = rate("envoy_cluster_grpc", f', grpc_status=~"{FAULTS}"')
    http = rate("envoy_cluster_upstream_rq", ', response_code_class="5xx"')
    return {
        "rate": rate("envoy_cluster_upstream_rq_completed"),
        "errors": f"({http} or vector(0)) + ({faults} or vector(0))",
        "latency": _p50_and_p99(f"rate(envoy_cluster_upstream_rq_time_bucket{{{calls}}}[{window}])"),
        "retries": rate("envoy_cluster_upstream_rq_retry"),
        "overflow": " + ".join(
            rate(f"envoy_cluster_upstream_{each}") for each in ("rq_pending_overflow", "cx_none_healthy")
        ),
        "ejected": f"sum by (pod) (envoy_cluster_outlier_detection_ejections_active{{{calls}}})",
    }


# What is drawn into every chart.
MARKS = {
    "faults": "max(mesh_faults_in_force)",
    "outages": "max(edge:outage)",
    "starts": 'max by (service, pod) (process_start_time_seconds{job="applications"})',
}


def _p50_and_p99(buckets: str) -> str:
    return " or ".join(
        f'label_replace(histogram_quantile({share}, sum by (le) ({buckets})), "q", "{name}", "", "")'
        for name, share in (("p50", 0.5), ("p99", 0.99))
    )
