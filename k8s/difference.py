"""
Shows what a deployment would change, and changes nothing.

    python3 -m k8s.difference

Exits with 0 whether there is a difference or not, and with an error if the cluster would refuse an object.
"""

import os
import subprocess
import sys

from images.catalogue import MissingInput
from k8s import prune, ready, render, stages
from k8s.kubectl import NAMESPACE, SERVER_SIDE, ClusterError, get

TIMEOUT_S = 300
SAME, DIFFERENT = 0, 1


def main() -> None:
    """Show it, or exit with an error."""
    try:
        show(os.environ.get("OVERLAY") or "one-node")
    except (ClusterError, MissingInput) as error:
        sys.exit(f"deploy-diff: {error}")


def show(overlay: str) -> None:
    """Print the differences between the cluster and an overlay, then what would be pruned."""
    print(f"deploy-diff: {overlay} against {ready.place()}", flush=True)
    if not get("namespace", NAMESPACE):
        raise ClusterError(f"there is no namespace {NAMESPACE}: everything would be created")
    manifests = render.manifests(overlay)
    stages.dry_run(manifests)
    command = ["kubectl", "diff", *SERVER_SIDE, "-l", stages.NO_MIGRATION, "-f", str(manifests)]
    if subprocess.run(command, timeout=TIMEOUT_S, check=False).returncode not in (SAME, DIFFERENT):
        raise ClusterError("the cluster refuses an object, see above; `make deploy` would stop before its first change")
    print("deploy-diff: migrations run again")
    for kind, name in prune.superfluous(manifests):
        print(f"deploy-diff: {kind} {name} is no longer in the manifests")


if __name__ == "__main__":
    main()
