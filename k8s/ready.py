"""
Says which cluster is meant, and fails early if deploying there cannot succeed; `make deploy` asks it before it builds.

    python3 -m k8s.ready
"""

import os
import sys

from images.catalogue import CHECKOUT
from k8s import traces
from k8s.kubectl import NAMESPACE, ClusterError, exists, kubectl, need_namespace

ISTIO = "virtualservices.networking.istio.io"
# A cluster that does not answer is said at once, not after a build of minutes.
ANSWER_S = 15


def main() -> None:
    """Check, or exit with an error."""
    try:
        print(f"deploy: to the namespace {place()}", flush=True)
        need_istio()
        need_customer(os.environ.get("OVERLAY") or "one-node")
        traces.need(traces.receiver(), say=lambda line: print(f"deploy: {line}", flush=True))
    except ClusterError as error:
        sys.exit(f"deploy: {error}")


def place() -> str:
    """
    Return NAMESPACE/CONTEXT, by which DATA=delete is confirmed; raises `ClusterError` if the cluster does not answer.
    """
    need_namespace()
    context = kubectl("config", "current-context").strip()
    kubectl("version", "--request-timeout=10s", seconds=ANSWER_S)
    return f"{NAMESPACE}/{context}"


def need_istio() -> None:
    """Raise `ClusterError` if the cluster has no Istio."""
    if ISTIO not in kubectl("get", "crds", "-o", "name"):
        raise ClusterError("the cluster has no Istio: install it first (minimal profile and sidecar injection)")


def need_customer(overlay: str) -> None:
    """Raise `ClusterError` if nobody could place the order that ends a deployment."""
    folder = CHECKOUT / "k8s/overlays" / overlay
    if os.environ.get("TOKEN") or not folder.is_dir():
        return
    if "\n  name: issuer\n" not in kubectl("kustomize", str(folder)) and not exists("statefulset", "issuer"):
        raise ClusterError(f"TOKEN: set it to a customer's token; the overlay {overlay} has no development issuer")


if __name__ == "__main__":
    main()
