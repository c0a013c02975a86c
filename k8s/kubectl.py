"""
Runs kubectl for the cluster that KUBECONFIG names, by its current context or the one that KUBE_CONTEXT names.

Standard library only, like everything in this package.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from k8s.names import WRITTEN

NAMESPACE = os.environ.get("NAMESPACE") or WRITTEN
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
COMMAND_S = 120
# By this name the server knows what a deployment applied.
MANAGER = "deploy"
SERVER_SIDE = ("--server-side", "--force-conflicts", f"--field-manager={MANAGER}")
# What a deployment applies in the namespace, except for jobs, which it deletes and creates again.
KINDS = (
    "deployments,statefulsets,services,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,configmaps,"
    "serviceaccounts,roles,rolebindings"
)
MESH_KINDS = (
    "virtualservices,destinationrules,gateways,envoyfilters,peerauthentications,authorizationpolicies,"
    "requestauthentications,serviceentries,sidecars,telemetries"
)


class ClusterError(Exception):
    """kubectl or the cluster failed; the message has the output."""


def need_namespace(name: str = NAMESPACE) -> None:
    """Raise `ClusterError` if NAMESPACE cannot be the name of one."""
    if not _LABEL.fullmatch(name):
        raise ClusterError(f"NAMESPACE={name!r}: it takes lower-case letters, digits and hyphens, at most 63")


def kubectl(*arguments: str, stdin: str | None = None, seconds: float = COMMAND_S) -> str:
    """Run kubectl and return what it prints; raises `ClusterError`."""
    context = os.environ.get("KUBE_CONTEXT", "")
    command = ["kubectl", *([f"--context={context}"] if context else []), *arguments]
    try:
        finished = subprocess.run(
            command, input=stdin, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, check=False
        )
    except FileNotFoundError:
        raise ClusterError("kubectl is not installed") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{' '.join(command)} did not finish within {seconds:.0f} s") from None
    if finished.returncode != 0:
        raise ClusterError(f"{' '.join(command)} exited with {finished.returncode}: {finished.stderr.strip()[-2000:]}")
    return finished.stdout


def apply(document: Mapping[str, Any]) -> None:
    """Apply one object; raises `ClusterError`."""
    kubectl("apply", *SERVER_SIDE, "-f", "-", stdin=json.dumps(document))


def get(kind: str, *arguments: str) -> list[dict[str, Any]]:
    """Return the objects of a kind in the namespace, filtered by *arguments*."""
    listed = json.loads(kubectl("get", kind, "-n", NAMESPACE, "-o", "json", "--ignore-not-found", *arguments) or "{}")
    items: list[dict[str, Any]] = listed.get("items", [listed] if listed else [])
    return items


def exists(kind: str, name: str) -> bool:
    """Return whether the namespace has this object."""
    return bool(kubectl("get", kind, name, "-n", NAMESPACE, "-o", "name", "--ignore-not-found").strip())


def wait(what: str, done: Callable[[], str | None], *, seconds: float, say: Callable[[str], None]) -> None:
    """
    Call *done* until it returns None; any other result says what is still missing.

    Prints changes of it; raises `ClusterError` with the last one after the time limit.
    """
    started, printed = time.monotonic(), ""
    while (missing := done()) is not None:
        if missing != printed:
            say(f"{what}: {missing}")
            printed = missing
        if time.monotonic() - started > seconds:
            raise ClusterError(f"{what}: after {seconds:.0f} s still {missing}")
        time.sleep(1)
    say(f"{what}: done ({time.monotonic() - started:.0f} s)")
