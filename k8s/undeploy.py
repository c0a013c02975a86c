"""
Removes the system from the cluster that KUBECONFIG names.

    python3 -m k8s.undeploy

The volumes, the secrets and Patroni's state are kept, so that the next deployment finds every order; DATA=delete
removes these too, with the namespace.
"""

import os
import sys

from k8s.kubectl import NAMESPACE, ClusterError, kubectl

STAGES = ("service", "migration", "mesh", "store", "foundation")
KINDS = (
    "deployments,statefulsets,jobs,services,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,configmaps,"
    "serviceaccounts,roles,rolebindings,"
    "virtualservices,destinationrules,gateways,envoyfilters,peerauthentications,authorizationpolicies,"
    "requestauthentications,serviceentries,sidecars"
)
SECONDS = 300


def main() -> None:
    """Undeploy, or exit with an error."""
    try:
        undeploy(everything=os.environ.get("DATA") == "delete")
    except ClusterError as error:
        sys.exit(f"undeploy: {error}")


def undeploy(*, everything: bool) -> None:
    """Remove the stages in reverse order, or the whole namespace."""
    if everything:
        say(f"removing the namespace {NAMESPACE} and all data in it")
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", seconds=SECONDS)
        return
    for stage in STAGES:
        say(f"removing {stage}")
        selector = ("-l", f"stage={stage}", "--ignore-not-found", "--wait")
        kubectl("delete", KINDS, "-n", NAMESPACE, *selector, seconds=SECONDS)
    kubectl("wait", "pods", "--all", "-n", NAMESPACE, "--for=delete", f"--timeout={SECONDS}s", seconds=SECONDS + 10)
    say("volumes and secrets are kept; DATA=delete removes them")


def say(line: str) -> None:
    """Print a line of progress."""
    print(f"undeploy: {line}", flush=True)


if __name__ == "__main__":
    main()
