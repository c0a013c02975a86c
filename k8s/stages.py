"""
The stages of a deployment; each is applied and waited for before the next.

The label `stage` assigns every object to one.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from k8s.credentials import MEMBERS
from k8s.kubectl import NAMESPACE, SERVER_SIDE, ClusterError, get, kubectl, wait
from k8s.prune import documents
from k8s.reasons import Reasons

Say = Callable[[str], None]
STORE_S = 300
# An operator starts members one after the other.
OPERATOR_S = 900
OPERATED = (
    "cluster.postgresql.cnpg.io/",
    "kafka.kafka.strimzi.io/",
    "kafkatopic.kafka.strimzi.io/",
    "kafkauser.kafka.strimzi.io/",
)
MIGRATION_S = 300
NO_MIGRATION = "stage!=migration"
ROLLOUT_S = 300
# What makes the roles of PostgreSQL, also in a database of an earlier version.
ROLES = ("/etc/patroni/make-serving.sh", "/etc/patroni/make-monitor.sh")
DATABASES = tuple(f"postgres-{number}.postgres" for number in range(MEMBERS))
# The pods of a stage; they are labelled by their application.
OF_STAGE = {
    "store": "app in (postgres,kafka,redis)",
    "migration": "app in (orders-migrate,inventory-migrate)",
    "service": "app in (orders,inventory,pages,edge,issuer,prober)",
}
AGREE = ("/etc/patroni/agree.sh", "/etc/patroni/patroni.yml", "/etc/patroni")


def apply(manifests: Path, stage: str) -> None:
    """Apply the objects of one stage."""
    kubectl("apply", *SERVER_SIDE, "-l", f"stage={stage}", "-f", str(manifests))


def dry_run(manifests: Path) -> None:
    """Have the server check all objects; raises `ClusterError` with those that it would refuse."""
    kubectl("apply", *SERVER_SIDE, "--dry-run=server", "-l", NO_MIGRATION, "-f", str(manifests))
    jobs = [each for each in documents(manifests) if each["metadata"].get("labels", {}).get("stage") == "migration"]
    for each in jobs:
        # The jobs of the deployment before are deleted first; a job that is there cannot get another image.
        each["metadata"]["name"] += "-checked"
    if jobs:
        everything = {"apiVersion": "v1", "kind": "List", "items": jobs}
        kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(everything))


def stores(manifests: Path, *, say: Say) -> None:
    """Start the data stores, if the overlay has any, and wait until every member is ready."""
    kinds = kubectl(
        "apply", "--dry-run=client", "-l", "stage=store", "-f", str(manifests), "-o", "name", "--validate=false"
    )
    if "statefulset" not in kinds:
        say("stores: elsewhere, as the secret `stores` says")
        return
    apply(manifests, "store")
    wait("stores", _waiting_for("statefulsets", "store"), seconds=STORE_S, say=say)
    operated = [each for each in kinds.split() if each.startswith(OPERATED)]
    if operated:
        wait("stores", lambda: not_ready(get_each(operated)), seconds=OPERATOR_S, say=say)
    if "statefulset.apps/postgres" not in kinds:
        return
    # Patroni reads its dynamic configuration only when a cluster is new.
    kubectl("exec", "-n", NAMESPACE, "postgres-0", "-c", "app", "--", *AGREE)
    for role in ROLES:
        kubectl("exec", "-n", NAMESPACE, "postgres-0", "-c", "app", "--", role, ",".join(DATABASES))


def migrations(manifests: Path, *, say: Say) -> None:
    """Run the migrations again and wait for them; the end of a failed one's log is the error."""
    kubectl("delete", "jobs", "-n", NAMESPACE, "-l", "stage=migration", "--ignore-not-found", "--wait")
    apply(manifests, "migration")
    wait("migrations", _with_reasons(_unfinished_jobs, "migration"), seconds=MIGRATION_S, say=say)


def services(manifests: Path, *, say: Say) -> None:
    """Roll out the services and wait until the desired number of new replicas is ready."""
    apply(manifests, "service")
    wait("services", _waiting_for("deployments", "service"), seconds=ROLLOUT_S, say=say)


def _waiting_for(kind: str, stage: str) -> Callable[[], str | None]:
    return _with_reasons(lambda: _missing(kind, f"stage={stage}"), stage)


def _with_reasons(missing: Callable[[], str | None], stage: str) -> Callable[[], str | None]:
    """Return *missing* with what Kubernetes says of the stage's pods; raises `ClusterError` if waiting is pointless."""
    reasons = Reasons(OF_STAGE[stage])

    def both() -> str | None:
        found = missing()
        return found and ": ".join(part for part in (found, reasons.now()) if part)

    return both


def _unfinished_jobs() -> str | None:
    unfinished = []
    for job in get("jobs", "-l", "stage=migration"):
        name, status = job["metadata"]["name"], job.get("status", {})
        if any(each["type"] == "Failed" and each["status"] == "True" for each in status.get("conditions", [])):
            raise ClusterError(f"{name} failed:\n{_last_words(name)}")
        if not status.get("succeeded"):
            unfinished.append(
                f"{name} is running" + (f", {status['failed']} failed attempts" if status.get("failed") else "")
            )
    return "; ".join(unfinished) or None


def _last_words(job: str) -> str:
    return kubectl("logs", "-n", NAMESPACE, f"job/{job}", "--tail=20")


def get_each(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the objects of these names, KIND/NAME."""
    found: dict[str, Any] = json.loads(kubectl("get", *names, "-n", NAMESPACE, "-o", "json"))
    return list(found.get("items", [found]))


def not_ready(objects: Sequence[Mapping[str, Any]]) -> str | None:
    """Return which custom resources their operators do not report as ready, and why."""
    return "; ".join(_unready(each) for each in objects if _unready(each)) or None


def _unready(each: Mapping[str, Any]) -> str:
    kind, name, status = each["kind"], each["metadata"]["name"], each.get("status", {})
    ready = [one for one in status.get("conditions", []) if one["type"] == "Ready"]
    seen = status.get("observedGeneration", each["metadata"]["generation"]) >= each["metadata"]["generation"]
    if seen and any(one["status"] == "True" for one in ready):
        return ""
    return f"{kind} {name} is not ready" + "".join(f": {one['message']}" for one in ready if one.get("message"))


def _missing(kind: str, selector: str) -> str | None:
    least = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"]["minReplicas"]
        for each in get("hpa")
        if each["spec"]["scaleTargetRef"]["kind"] == "Deployment"
    }
    lines = [_progress(each, least.get(each["metadata"]["name"], 1)) for each in get(kind, "-l", selector)]
    return ", ".join(line for line in lines if line) or None


def _progress(workload: dict[str, Any], least: int) -> str | None:
    """Return what a Deployment or StatefulSet still lacks, or None."""
    status, name = workload.get("status", {}), workload["metadata"]["name"]
    wanted = max(workload["spec"].get("replicas", 1), least)
    new, ready, all_pods = (status.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "replicas"))
    seen = status.get("observedGeneration", 0) >= workload["metadata"]["generation"]
    if seen and new == ready == all_pods >= wanted:
        return None
    return f"{name} {min(new, ready)} of {wanted} ready"
