"""
Sidecar resources: which hosts a workload may call (istio: model/sidecar.go).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from translator.model.hosts import host_matches, overlap
from translator.model.registry import Workload
from translator.model.resources import Resource
from translator.model.selector import selects

Pattern = tuple[str, str]


@dataclass(frozen=True)
class Scope:
    """
    Patterns of namespace and host that are imported, and those that are left out; `patterns` of None means everything.
    """

    patterns: tuple[Pattern, ...] | None = None
    excluded: tuple[Pattern, ...] = ()
    source: Resource | None = None

    def sees(self, namespace: str, host: str) -> bool:
        """
        Return whether a host of a namespace is within the scope.
        """
        if self.patterns is None:
            return True
        return not self._is_excluded(namespace, host) and any(
            host_matches(pattern, host) for pattern in _of_namespace(self.patterns, namespace)
        )

    def sees_routes(self, namespace: str, hosts: Iterable[str]) -> bool:
        """
        Return whether a VirtualService of a namespace is in scope: one of its hosts is, or contains one that is.
        """
        if self.patterns is None:
            return True
        mine = list(_of_namespace(self.patterns, namespace))
        return any(
            not self._is_excluded(namespace, host) and any(overlap(pattern, host) for pattern in mine) for host in hosts
        )

    def _is_excluded(self, namespace: str, host: str) -> bool:
        return any(host_matches(pattern, host) for pattern in _of_namespace(self.excluded, namespace))


def _of_namespace(patterns: Iterable[Pattern], namespace: str) -> Iterable[str]:
    return (pattern for owner, pattern in patterns if owner in ("*", namespace))


def sidecar_scope(sidecars: Iterable[Resource], workload: Workload, root_namespace: str) -> Scope:
    """
    Return the scope of the one Sidecar that applies: the workload's, else the namespace's, else the root namespace's.
    """
    chosen = _choose(list(sidecars), workload, root_namespace)
    if chosen is None or not chosen.spec.get("egress"):
        return Scope(None, (), chosen)
    hosts = [host for listener in chosen.spec["egress"] for host in listener["hosts"]]
    taken = tuple(_pattern(host, workload.namespace) for host in hosts if not host.startswith("~"))
    left_out = tuple(_pattern(host[1:], workload.namespace) for host in hosts if host.startswith("~"))
    return Scope(taken, left_out, chosen)


def _choose(sidecars: list[Resource], workload: Workload, root_namespace: str) -> Resource | None:
    own = [sidecar for sidecar in sidecars if sidecar.namespace == workload.namespace]
    # A selector without labels selects every workload of its namespace; the root's one for all has none.
    by_label = [s for s in own if _has_selector(s) and selects(s.spec, workload)]
    by_namespace = [s for s in own if not _has_selector(s)]
    of_root = [s for s in sidecars if s.namespace == root_namespace and not _has_selector(s)]
    return next(iter([*by_label, *by_namespace, *of_root]), None)


def _has_selector(sidecar: Resource) -> bool:
    return "workloadSelector" in sidecar.spec


def _pattern(host: str, namespace: str) -> Pattern:
    owner, _, pattern = host.rpartition("/")
    return {".": namespace, "": "*"}.get(owner, owner), pattern
