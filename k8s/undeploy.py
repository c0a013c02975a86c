"""
Removes the system from the cluster that KUBECONFIG names.

    python3 -m k8s.undeploy

The volumes, the secrets and Patroni's state are kept, so that the next deployment finds every order; DATA=delete
removes these too, with the namespace, once CONFIRM has NAMESPACE/CONTEXT or a person has typed it.
"""

import os
import sys

from k8s import ready
from k8s.kubectl import KINDS, MESH_KINDS, NAMESPACE, ClusterError, kubectl

STAGES = ("service", "migration", "mesh", "store", "foundation")
TIMEOUT_S = 300


def main() -> None:
    """Undeploy, or exit with an error."""
    try:
        undeploy(everything=os.environ.get("DATA") == "delete")
    except ClusterError as error:
        sys.exit(f"undeploy: {error}")


def undeploy(*, everything: bool) -> None:
    """Remove the stages in reverse order, or the whole namespace."""
    where = ready.place()
    if everything:
        confirm(where)
        say(f"removing the namespace {NAMESPACE} and all data in it")
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", seconds=TIMEOUT_S)
        return
    say(f"from {where}")
    for stage in STAGES:
        say(f"removing {stage}")
        if stage == "mesh":
            # Also what was applied by hand: faults, and files of istio/.
            kubectl("delete", MESH_KINDS, "-n", NAMESPACE, "--all", "--ignore-not-found", "--wait", seconds=TIMEOUT_S)
        selector = ("-l", f"stage={stage}", "--ignore-not-found", "--wait")
        kubectl("delete", f"{KINDS},jobs", "-n", NAMESPACE, *selector, seconds=TIMEOUT_S)
    kubectl("wait", "pods", "--all", "-n", NAMESPACE, "--for=delete", f"--timeout={TIMEOUT_S}s", seconds=TIMEOUT_S + 10)
    say("volumes and secrets are kept; DATA=delete removes them")


def confirm(where: str) -> None:
    """Raise `ClusterError` unless CONFIRM has *where*, or a person types it."""
    given = os.environ.get("CONFIRM", "")
    if not given and sys.stdin.isatty():
        given = input(f"undeploy: this deletes all orders in {where}; type {where} to go on: ").strip()
    if given != where:
        raise ClusterError(f"DATA=delete deletes all orders: CONFIRM={where} confirms it, got {given!r}")


def say(line: str) -> None:
    """Print a line of progress."""
    print(f"undeploy: {line}", flush=True)


if __name__ == "__main__":
    main()
