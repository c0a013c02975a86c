"""
PeerAuthentication: the mutual TLS mode of a workload's port (istio: security/authn/policy_applier.go).
"""

from collections.abc import Mapping

from translator.model.mesh import Mesh
from translator.model.resources import Resource
from translator.model.selector import labels_of_selector

DEFAULT_MODE = "PERMISSIVE"


def mutual_tls_mode(mesh: Mesh, namespace: str, labels: Mapping[str, str], port: int) -> str:
    """
    Return STRICT, PERMISSIVE or DISABLE.

    The workload's policy takes precedence, then its namespace's, then the root namespace's; of several, the oldest.
    """
    policies = mesh.of_kind("PeerAuthentication")
    own = [policy for policy in policies if policy.namespace == namespace]
    by_label = next(
        (p for p in own if labels_of_selector(p.spec) and labels_of_selector(p.spec).items() <= labels.items()), None
    )
    by_namespace = next((p for p in own if not labels_of_selector(p.spec)), None)
    of_root = next(
        (p for p in policies if p.namespace == mesh.registry.root_namespace and not labels_of_selector(p.spec)), None
    )
    mode = DEFAULT_MODE
    for policy in (of_root, by_namespace, by_label):
        mode = _mode(policy) or mode
    at_port = by_label.spec.get("portLevelMtls", {}).get(str(port), {}).get("mode", "UNSET") if by_label else "UNSET"
    return mode if at_port == "UNSET" else str(at_port)


def namespace_mode(mesh: Mesh, namespace: str) -> str:
    """
    Return the mode of a namespace by its own policy or the root namespace's, which clients of its services go by.
    """
    return mutual_tls_mode(mesh, namespace, {}, 0)


def _mode(policy: Resource | None) -> str:
    mode = str(policy.spec.get("mtls", {}).get("mode", "UNSET")) if policy else "UNSET"
    return "" if mode == "UNSET" else mode
