"""What the controller measures of itself, for Prometheus."""

from prometheus_client import Gauge, start_http_server

STALE = Gauge(
    "mesh_envoy_stale_files",
    "Files of its configuration that a running Envoy has not taken; what they say is not in force there.",
    ["workload"],
)
REFUSED = Gauge(
    "mesh_configuration_refused", "1 while the files as they are now are refused, and the last good ones hold."
)
APPLIED = Gauge("mesh_configuration_applied_timestamp_seconds", "When the files were last in force, since 1970.")


def serve(endpoint: str) -> None:
    """Serve the metrics at *endpoint*, HOST:PORT, from a thread."""
    host, _, port = endpoint.rpartition(":")
    start_http_server(int(port), host)
