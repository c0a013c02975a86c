"""The parts of a deployment: which workload is which, which pod is which replica, and which are not healthy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k8s import pods

DEPLOYMENT, STATEFUL_SET = "deployment", "statefulset"
KINDS: Mapping[str, str] = {
    "orders": DEPLOYMENT,
    "inventory": DEPLOYMENT,
    "pages": DEPLOYMENT,
    "edge": DEPLOYMENT,
    "postgres": STATEFUL_SET,
    "kafka": STATEFUL_SET,
    "redis": STATEFUL_SET,
}
# The edge is nothing but Istio's proxy.
CONTAINERS: Mapping[str, str] = {"edge": "istio-proxy"}
# Parts of the one-machine stack that a deployment does not have, or does not have to itself.
ELSEWHERE: Mapping[str, str] = {
    "etcd": "PostgreSQL's members elect their leader through Kubernetes here, there is no etcd to stop",
    "mesh": "Istio's control plane serves the whole cluster, not only this shop",
}
ROLES = ("postgres-leader", "postgres-replica")
_TARGET = re.compile(rf"({'|'.join(KINDS)})(?:-(\d+))?")


@dataclass(frozen=True)
class Part:
    """A workload, or one of its replicas."""

    app: str
    replica: int | None = None

    @property
    def kind(self) -> str:
        """Return the kind of its workload."""
        return KINDS[self.app]

    @property
    def container(self) -> str:
        """Return the name of its container."""
        return CONTAINERS.get(self.app, "app")

    @property
    def workload(self) -> str:
        """Return its workload as kubectl takes it."""
        return f"{self.kind}/{self.app}"


def part(target: str) -> Part:
    """Return the part that a step names; raises `LookupError` with the reason if there is none such on a cluster."""
    if target in ELSEWHERE:
        raise LookupError(ELSEWHERE[target])
    if target in ROLES:
        return Part("postgres")
    found = _TARGET.fullmatch(target)
    if found is None:
        if target.endswith("-envoy"):
            raise LookupError(f"{target}: a sidecar cannot be ended apart from its pod here")
        raise LookupError(f"{target} is no part of a deployment; there are {', '.join(KINDS)}")
    return Part(found[1], None if found[2] is None else int(found[2]))


class Replicas:
    """
    Which pod is replica 0, 1, … of a Deployment: a new pod takes the number of the one that it replaces.

    So `orders-0` is the same replica during a run, as on one machine, whatever its pods are called.
    """

    def __init__(self) -> None:
        self._pods: dict[str, list[str]] = {}

    def update(self, app: str, wanted: int, there: Iterable[str]) -> list[str]:
        """Take note of an application's pods; return the pod of each replica, empty where there is none."""
        alive = set(there)
        slots = self._pods.setdefault(app, [])
        new = sorted(alive - set(slots))
        for number, name in enumerate(slots):
            if name not in alive:
                slots[number] = new.pop(0) if new else ""
        slots += new
        while len(slots) > wanted and "" in slots:
            slots.remove("")
        slots += [""] * (wanted - len(slots))
        return list(slots)


def unhealthy(
    workloads: Sequence[Mapping[str, Any]], found: Sequence[dict[str, Any]], replicas: Replicas
) -> dict[str, str]:
    """Return the state of each replica that is not ready, and of each workload that is missing or scaled to 0."""
    by_app: dict[str, dict[str, dict[str, Any]]] = {app: {} for app in KINDS}
    for pod in found:
        if not pods.ending(pod):
            by_app[pod["metadata"]["labels"]["app"]][pod["metadata"]["name"]] = pod
    sizes = {each["metadata"]["name"]: int(each["spec"].get("replicas", 1)) for each in workloads}
    bad: dict[str, str] = {}
    for app, kind in KINDS.items():
        if not sizes.get(app):
            bad[app] = "scaled to 0" if app in sizes else "does not exist"
            continue
        here = by_app[app]
        names = [f"{app}-{number}" for number in range(sizes[app])]
        slots = replicas.update(app, sizes[app], here) if kind == DEPLOYMENT else names
        for number, name in enumerate(slots):
            if state := _state(here.get(name)):
                bad[f"{app}-{number}"] = state
    return bad


def _state(pod: dict[str, Any] | None) -> str:
    if pod is None:
        return "no pod"
    return "" if pods.ready(pod) else f"{pod['metadata']['name']} is not ready"
