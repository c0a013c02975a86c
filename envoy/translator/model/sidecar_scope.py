"""
Sidecar resources: which hosts a workload may call (istio: model/sidecar.go).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from translator.model.hosts import host_matches
from translator.model.registry import Workload
from translator.model.resources import Resource


@dataclass(frozen=True)
class Scope:
    """
    Patterns of namespace and host; `patterns` of None means everything.
    """

    patterns: tuple[tuple[str, str], ...] | None = None
    source: Resource | None = None

    def sees(self, namespace: str, host: str) -> bool:
        """
        Return whether a host of a namespace is within the scope.
        """
        if self.patterns is None:
            return True
        return any(owner in ("*", namespace) and host_matches(pattern, host) for owner, pattern in self.patterns)


def sidecar_scope(sidecars: Iterable[Resource], workload: Workload, root_namespace: str) -> Scope:
    """
    Return the scope of the one Sidecar that applies: the workload's, else the namespace's, else the root namespace's.
    """
    chosen = _choose(list(sidecars), workload, root_namespace)
    if chosen is None or "egress" not in chosen.spec:
        return Scope(None, chosen)
    hosts = [host for listener in chosen.spec["egress"] for host in listener["hosts"]]
    return Scope(tuple(_pattern(host, workload.namespace) for host in hosts), chosen)


def _choose(sidecars: list[Resource], workload: Workload, root_namespace: str) -> Resource | None:
    own = [sidecar for sidecar in sidecars if sidecar.namespace == workload.namespace]
    by_label = [s for s in own if _labels(s) and _labels(s).items() <= workload.labels.items()]
    by_namespace = [s for s in own if not _labels(s)]
    of_root = [s for s in sidecars if s.namespace == root_namespace and not _labels(s)]
    return next(iter([*by_label, *by_namespace, *of_root]), None)


def _labels(sidecar: Resource) -> dict[str, str]:
    labels: dict[str, str] = sidecar.spec.get("workloadSelector", {}).get("labels", {})
    return labels


def _pattern(host: str, namespace: str) -> tuple[str, str]:
    owner, _, pattern = host.rpartition("/")
    return {".": namespace, "": "*", "~": ""}.get(owner, owner), pattern
