"""The controller's own metrics."""

import shutil
from pathlib import Path

from prometheus_client import Gauge, start_http_server

STALE = Gauge(
    "mesh_envoy_stale_files",
    "Configuration files that a running Envoy has not loaded, so that their content is not in force there.",
    ["workload"],
)
REFUSED = Gauge(
    "mesh_configuration_refused", "1 while the current files are rejected and the last valid ones stay in force."
)
FINDINGS = Gauge(
    "mesh_configuration_findings",
    "What istioctl analyze would warn of in the files in force; status.json and make status have the words.",
    ["level"],
)
APPLIED = Gauge("mesh_configuration_applied_timestamp_seconds", "Unix time at which the files were last put in force.")
DISK = Gauge("mesh_disk_free_ratio", "Free share, 0 to 1, of the disk that holds the mesh's files.")


def free_ratio(folder: Path) -> float:
    """Return the share of a folder's disk that is free to this user."""
    disk = shutil.disk_usage(folder)
    return disk.free / (disk.used + disk.free)


def serve(endpoint: str, out: Path) -> None:
    """Serve the metrics of who writes to *out* at *endpoint*, HOST:PORT, from a thread."""
    DISK.set_function(lambda: free_ratio(out))
    host, _, port = endpoint.rpartition(":")
    start_http_server(int(port), host)
