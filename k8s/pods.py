"""Pods: which there are, ending them, running commands in them, and PostgreSQL's members."""

import json
from typing import Any

from k8s.kubectl import NAMESPACE, ClusterError, get, kubectl

RUN_S = 60


def of(app: str) -> list[str]:
    """Return the pods of an application that are not terminating."""
    return [each["metadata"]["name"] for each in get("pods", "-l", f"app={app}") if not ending(each)]


def ending(pod: dict[str, Any]) -> bool:
    """Return whether a pod is terminating."""
    return "deletionTimestamp" in pod["metadata"]


def ready(pod: dict[str, Any]) -> bool:
    """Return whether a pod is ready."""
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def containers(pod: dict[str, Any]) -> list[str]:
    """Return the ids of the containers of a pod that run, or have run last."""
    status = pod["status"]
    found = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return [each["containerID"].rpartition("/")[2] for each in found if each.get("containerID")]


def kill(*names: str) -> None:
    """Kill pods at once, without a grace period."""
    kubectl("delete", "pod", *names, "-n", NAMESPACE, "--grace-period=0", "--force", "--wait=false")


def run_in(pod: str, *command: str, container: str = "app", seconds: float = RUN_S, stdin: str | None = None) -> str:
    """Run a command in one of a pod's containers, with *stdin* as its input; raises `ClusterError`."""
    words = ["exec", *(["-i"] if stdin is not None else []), "-n", NAMESPACE, pod, "-c", container, "--", *command]
    return kubectl(*words, stdin=stdin, seconds=seconds)


ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"


def ask(pod: str, url: str, *, container: str = "app") -> str:
    """Return the response of *url* in a pod, from a container that has Python."""
    return run_in(pod, "python", "-c", ASK, url, container=container)


def members() -> list[dict[str, Any]]:
    """Return PostgreSQL's members as the leader sees them, or else the first that responds."""
    leaders = of("postgres,role=primary")
    for pod in [*leaders, *(each for each in of("postgres") if each not in leaders)]:
        try:
            listed: list[dict[str, Any]] = json.loads(ask(pod, "http://127.0.0.1:8008/cluster"))["members"]
        except (ClusterError, ValueError):
            continue
        return listed
    return []
