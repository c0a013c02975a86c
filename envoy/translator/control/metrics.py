"""The controller's own metrics."""

from prometheus_client import Gauge, start_http_server

STALE = Gauge(
    "mesh_envoy_stale_files",
    "Configuration files that a running Envoy has not loaded, so that their content is not in force there.",
    ["workload"],
)
REFUSED = Gauge(
    "mesh_configuration_refused", "1 while the current files are rejected and the last valid ones stay in force."
)
APPLIED = Gauge("mesh_configuration_applied_timestamp_seconds", "Unix time at which the files were last put in force.")


def serve(endpoint: str) -> None:
    """Serve the metrics at *endpoint*, HOST:PORT, from a thread."""
    host, _, port = endpoint.rpartition(":")
    start_http_server(int(port), host)
