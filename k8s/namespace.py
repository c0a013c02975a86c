"""The namespace: its labels that restrict pods come last, once the pods that they restrict are there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k8s.kubectl import NAMESPACE, ClusterError, apply, get, kubectl
from k8s.prune import documents

RESTRICTING = "pod-security.kubernetes.io/enforce"


def first(manifests: Path) -> None:
    """
    Create the namespace, or bring its labels, except for those that restrict pods and are new.

    A deployment that fails half-way then leaves pods that are still replaced.
    """
    apply(without_new_limits(_declared(manifests), _labels()))


def last(manifests: Path) -> None:
    """Apply all labels; raises `ClusterError`, and changes nothing, if pods that run now would not be replaced."""
    declared = _declared(manifests)
    limits = [f"{key}={value}" for key, value in declared["metadata"]["labels"].items() if key.startswith(RESTRICTING)]
    if limits:
        try:
            kubectl(
                "label", "namespace", NAMESPACE, *limits,
                "--overwrite", "--dry-run=server", "--warnings-as-errors",
            )  # fmt: skip
        except ClusterError as error:
            raise ClusterError(
                f"the label {RESTRICTING} was not set, because pods that end would not be replaced: {error}"
            ) from error
    apply(declared)


def without_new_limits(declared: Mapping[str, Any], there: Mapping[str, str]) -> dict[str, Any]:
    """Return the namespace without the restrictions that it does not have yet."""
    labels = {
        key: value
        for key, value in declared["metadata"]["labels"].items()
        if not key.startswith(RESTRICTING) or key in there
    }
    limits = {key: value for key, value in there.items() if key.startswith(RESTRICTING)}
    return {**declared, "metadata": {**declared["metadata"], "labels": labels | limits}}


def _declared(manifests: Path) -> dict[str, Any]:
    [found] = [each for each in documents(manifests) if each["kind"] == "Namespace"]
    metadata = {"name": NAMESPACE, "labels": found["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _labels() -> dict[str, str]:
    found = get("namespace", NAMESPACE)
    return dict(found[0]["metadata"].get("labels", {})) if found else {}
