"""
Service discovery for a Prometheus on Kubernetes, through the target files that it reads on one machine as well.

    python -m gateway.pages.targets

Debian's Prometheus is built without Kubernetes' service discovery; any other build uses kubernetes_sd instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog
from pydantic import Field

from gateway.pages.kubernetes import Kubernetes, Namespace, api_server
from runtime import settings, telemetry
from runtime.errors import Error
from runtime.settings import ProcessSettings

# A container's port by its name, and the job that scrapes it; Istio sets the name of its proxies' port.
JOBS: Mapping[str, str] = {
    "metrics": "applications",
    "http-envoy-prom": "envoys",
    "patroni": "patroni",
    "pg-metrics": "postgres",
    "redis-metrics": "redis",
    "kafka-metrics": "kafka",
    "probe-metrics": "probe",
    "prometheus": "prometheus",
}
Groups = dict[str, list[dict[str, Any]]]
log = structlog.get_logger()


class Settings(ProcessSettings):
    """Each field is the variable of the same name in capitals."""

    namespace: Namespace = "shop"
    """The namespace of the pods."""
    targets_folder: Path = Path("/etc/prometheus/targets")
    """The folder from which Prometheus reads its targets."""
    targets_interval_s: float = Field(default=5.0, ge=1, le=300)
    """The polling interval."""


async def main() -> None:
    """
    Keep the files up to date until SIGTERM.
    """
    chosen = settings.load(Settings)
    telemetry.start(chosen, "targets")
    async with api_server() as client:
        keeping = asyncio.create_task(keep(Kubernetes(client), chosen))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, keeping.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def keep(kubernetes: Kubernetes, chosen: Settings) -> None:
    """
    Write the targets periodically; the last ones are kept while Kubernetes does not answer.
    """
    while True:
        try:
            write(chosen.targets_folder, groups(await kubernetes.items(f"/api/v1/namespaces/{chosen.namespace}/pods")))
        except Error as error:
            log.warning("targets_unknown", error=str(error))
        await asyncio.sleep(chosen.targets_interval_s)


def groups(pods: Iterable[Mapping[str, Any]]) -> Groups:
    """
    Return the targets of each job (Prometheus's `<file_sd_config>`), from pods that have an address and are not
    terminating.
    """
    found: Groups = {job: [] for job in JOBS.values()}
    for pod in pods:
        address, metadata = pod.get("status", {}).get("podIP"), pod["metadata"]
        if not address or pod["status"].get("phase") != "Running" or "deletionTimestamp" in metadata:
            continue
        labels = {"service": metadata.get("labels", {}).get("app", ""), "pod": metadata["name"]}
        for name, port in _ports(pod["spec"]):
            host = f"[{address}]" if ":" in address else address
            found[JOBS[name]].append({"targets": [f"{host}:{port}"], "labels": labels})
    return found


def _ports(spec: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    # Istio's proxy is a native sidecar (an init container that keeps running), or an ordinary container.
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        for port in container.get("ports", ()):
            if port.get("name") in JOBS:
                yield port["name"], port["containerPort"]


def write(folder: Path, found: Groups) -> None:
    """Write each job's file atomically, and only if it changes."""
    for job, targets in found.items():
        path, text = folder / f"{job}.json", json.dumps(sorted(targets, key=str), indent=2) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            new = path.with_suffix(".new")
            new.write_text(text, encoding="utf-8")
            new.replace(path)
            log.info("targets", job=job, count=len(targets))


if __name__ == "__main__":
    asyncio.run(main())
