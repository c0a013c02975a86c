"""
The actions on a cluster that are not one call of kubectl: `python -m chaos.lab.cluster.act ACTION ARGUMENTS…`.

NAMESPACE and KUBE_CONTEXT say where. Every action that reverts something is idempotent.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from chaos.lab.act import LOCK_S, LOCKER, MAX_LOCKED_S
from chaos.lab.cluster import cut, processes
from chaos.partition.__main__ import IN_FORCE
from k8s import pods
from k8s.kubectl import NAMESPACE, ClusterError, get, kubectl
from k8s.names import renamed
from stack.settings import CHECKOUT

GONE_S, POLL_S = 90, 0.5
AT_ONCE = ("--grace-period=0", "--force")
MAX_HELD_S = 240
KEPT = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
UNLOCK = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{LOCKER}';"  # noqa: S608 - a name of ours
# `psql` in a member, as the superuser; its input is the statement.
PSQL = (
    'PGPASSWORD=$PATRONI_SUPERUSER_PASSWORD exec psql -X -q -v ON_ERROR_STOP=1 "host=127.0.0.1 user=postgres dbname={}"'
)


def scale_to_0(workload: str, at_once: str = "") -> None:
    """Scale a workload to 0 and wait until none of its pods is left; *at_once*: without a grace period."""
    app = workload.partition("/")[2]
    kubectl("scale", workload, "-n", NAMESPACE, "--replicas=0")
    end = time.monotonic() + GONE_S
    while found := [each["metadata"]["name"] for each in get("pods", "-l", f"app={app}")]:
        if time.monotonic() > end:
            raise ClusterError(f"after {GONE_S} s there are still {', '.join(found)}")
        if at_once:
            kubectl("delete", "pod", *found, "-n", NAMESPACE, "--ignore-not-found", "--wait=false", *AT_ONCE)
        time.sleep(POLL_S)


def hold_down(pod: str, seconds: str, marker: str, at_once: str = "") -> None:
    """
    Delete a pod of a StatefulSet whenever it is there, until *marker* is removed or the time is over.

    Kubernetes replaces one that was deleted within a second or two, which would be no outage.
    """
    end = time.monotonic() + min(float(seconds), MAX_HELD_S)
    Path(marker).touch()
    first, gone = "", ""
    while time.monotonic() < end and Path(marker).exists():
        uid = kubectl("get", "pod", pod, "-n", NAMESPACE, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
        first = first or uid
        if uid and uid != gone:
            # The first one ends as it was asked for; what replaces it has nothing to finish.
            force = AT_ONCE if at_once or uid != first else ()
            kubectl("delete", "pod", pod, "-n", NAMESPACE, "--ignore-not-found", "--wait=false", *force)
            gone = uid
        if gone == first:
            print(f"{pod} is down, {IN_FORCE}", flush=True)
        time.sleep(POLL_S)
    Path(marker).unlink(missing_ok=True)


def release(marker: str) -> None:
    """Have what holds a pod down end."""
    Path(marker).unlink(missing_ok=True)
    time.sleep(2 * POLL_S)


def cut_off(marker: str, seconds: str, loss_percent: str, way: str, ones: str, others: str) -> None:
    """
    Lose what pods send to each other, until *marker* is removed or the time is over; *way* is `both` or `one-way`.

    *ones* and *others* are names separated by commas; *others* are pods of this machine, *ones* anywhere.
    """
    end = time.monotonic() + min(float(seconds), MAX_HELD_S)
    Path(marker).touch()
    by_name = {each["metadata"]["name"]: each for each in get("pods")}
    addresses = [by_name[name]["status"]["podIP"] for name in ones.split(",")]
    pids = [_a_process(by_name[name]) for name in others.split(",")]
    script = cut.made(addresses, one_way=way == "one-way", loss_percent=int(loss_percent))
    try:
        for pid in pids:
            cut.heal([pid])
            if error := cut.run(pid, script):
                raise ClusterError(f"nft: {error}")
        print(f"{ones} and {others} are cut, {IN_FORCE}", flush=True)
        while time.monotonic() < end and Path(marker).exists():
            time.sleep(1)
            for pid in pids:
                # A pod that is gone has taken its filter with it.
                cut.run(pid, cut.renewed(addresses))
    finally:
        cut.heal(pids)
        Path(marker).unlink(missing_ok=True)


def heal(marker: str, others: str) -> None:
    """End a cut: also what is left of it in the pods of this machine."""
    Path(marker).unlink(missing_ok=True)
    names = others.split(",")
    cut.heal(_a_process(each) for each in get("pods") if each["metadata"]["name"] in names and not pods.ending(each))


def _a_process(pod: dict[str, Any]) -> int:
    """Return a process of a pod; raises `ClusterError` if none of them is on this machine."""
    found = processes.of(pods.containers(pod))
    if not found:
        raise ClusterError(f"no process of {pod['metadata']['name']} runs on this machine")
    return found[0]


def pause(*containers: str) -> None:
    """Send SIGSTOP to every process of containers; raises `ClusterError` if there is none on this machine."""
    if not processes.signal_all(containers, signal.SIGSTOP):
        raise ClusterError("no process of the containers runs on this machine")


def resume(*containers: str) -> None:
    """Send SIGCONT to them."""
    processes.signal_all(containers, signal.SIGCONT)


def apply_mesh(file: str, kept: str) -> None:
    """Apply a file of Istio resources; what is there in its place is saved first."""
    document = _document(file)
    there = _applied(document)
    if there and not Path(kept).exists():
        Path(kept).write_text(there, encoding="utf-8")
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=yaml.safe_dump(document))


def bring_mesh_back(file: str, kept: str) -> None:
    """Bring back what was saved, or delete the file's resource."""
    document = _document(file)
    if Path(kept).exists():
        kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=Path(kept).read_text(encoding="utf-8"))
    else:
        kubectl("delete", "-n", NAMESPACE, "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump(document))


def _document(file: str) -> dict[str, object]:
    text = renamed((CHECKOUT / file).read_text(encoding="utf-8"), NAMESPACE)
    document: dict[str, object] = yaml.safe_load(text)
    metadata = document["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101 - `resource` has read it
    metadata["namespace"] = NAMESPACE
    return document


def _applied(document: Mapping[str, object]) -> str:
    """Return the cluster's own version of a resource without what the server adds; empty if there is none."""
    metadata = document["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101 - as above
    words = (str(document["kind"]).lower(), str(metadata["name"]))
    text = kubectl("get", *words, "-n", NAMESPACE, "--ignore-not-found", "-o", "json")
    if not text.strip():
        return ""
    there = json.loads(text)
    there["metadata"] = {key: value for key, value in there["metadata"].items() if key not in KEPT}
    there.pop("status", None)
    return json.dumps(there)


def lock_table(table: str, seconds: str) -> None:
    """Hold an exclusive lock on a table in a session of the leader; it ends by itself."""
    held_s = min(float(seconds), MAX_LOCKED_S)
    quoted = '"' + table.replace('"', '""') + '"'
    statement = "\n".join(
        [
            f"SET application_name = '{LOCKER}';",
            f"SET lock_timeout = '{LOCK_S}s';",
            f"BEGIN; LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE;",
            f"\\warn locked, {IN_FORCE}",
            f"SELECT pg_sleep({held_s:g}); COMMIT;",
        ]
    )
    shell = ("exec", "-i", "-n", NAMESPACE, _leader(), "-c", "app", "--", "sh", "-c", PSQL.format("orders"))
    # Not through `kubectl`, which returns the output only at the end: it says when the lock is there.
    command = ["kubectl", f"--context={os.environ['KUBE_CONTEXT']}", *shell]
    done = subprocess.run(command, input=statement, text=True, timeout=held_s + 2 * LOCK_S, check=False)
    if done.returncode != 0:
        raise ClusterError(f"the lock ended with {done.returncode}")


def unlock_table() -> None:
    """Terminate the sessions that lock a table."""
    pods.run_in(_leader(), "sh", "-c", PSQL.format("orders"), stdin=UNLOCK)


def _leader() -> str:
    found = [each["name"] for each in pods.members() if each["role"] == "leader"]
    if not found:
        raise ClusterError("no member of PostgreSQL leads")
    return str(found[0])


def empty_redis() -> None:
    """Remove Redis's files and kill it, like a loss of its volume."""
    [pod] = pods.of("redis")
    pods.run_in(pod, "sh", "-c", "rm -rf /data/*")
    pods.kill(pod)


ACTIONS: Mapping[str, Callable[..., None]] = {
    "scale-to-0": scale_to_0,
    "hold-down": hold_down,
    "release": release,
    "cut": cut_off,
    "heal": heal,
    "pause": pause,
    "resume": resume,
    "mesh": apply_mesh,
    "mesh-back": bring_mesh_back,
    "lock-table": lock_table,
    "unlock-table": unlock_table,
    "empty-redis": empty_redis,
}


def main(words: list[str]) -> int:
    """Run one action and return the exit code."""
    try:
        ACTIONS[words[0]](*words[1:])
    except (ClusterError, LookupError, OSError, subprocess.SubprocessError, yaml.YAMLError) as error:
        print(f"{words[0]}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
