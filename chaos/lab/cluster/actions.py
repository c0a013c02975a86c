"""
Faults of a deployment: kubectl, or `python -m chaos.lab.cluster.act` where kubectl alone is not enough.

Each command names its cluster and namespace, so that one from the journal does the same in any shell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chaos.breakage import LEADER
from chaos.lab.actions import REPLICA, SPARE_S, Command, Fault, Scene, who
from chaos.lab.cluster import cut
from chaos.lab.cluster.parts import DEPLOYMENT, Part, part
from chaos.lab.experiment import Step
from chaos.lab.resources import resource

WAIT_S = 110
AT_ONCE = ("--grace-period=0", "--force")


@dataclass(frozen=True)
class Place:
    """A namespace of the cluster of a context."""

    namespace: str
    context: str

    def kubectl(self, *words: str) -> Command:
        """Return a command of kubectl."""
        return ("kubectl", f"--context={self.context}", f"--namespace={self.namespace}", *words)

    def act(self, *words: str) -> Command:
        """Return one of this package's own actions."""
        named = (f"KUBE_CONTEXT={self.context}", f"NAMESPACE={self.namespace}")
        return ("env", *named, sys.executable, "-m", "chaos.lab.cluster.act", *words)


class State(Protocol):
    """What a fault's commands depend on, as it is now."""

    def size(self, app: str) -> int:
        """Return how many replicas a workload is to have."""

    def pod(self, part: Part) -> str:
        """Return the pod of a replica; raises `LookupError` if there is none now."""

    def pods(self, part: Part) -> list[str]:
        """Return the pods of all replicas, or of one; raises `LookupError` if there is none now."""

    def containers(self, part: Part) -> list[str]:
        """Return the ids of the application's containers, of all replicas or of one; raises `LookupError` likewise."""

    def processes(self, containers: Sequence[str]) -> list[int]:
        """Return those of their processes that this process sees and may signal."""


class ClusterFaults:
    """The faults of one deployment."""

    def __init__(self, place: Place, state: State) -> None:
        self._place = place
        self._state = state

    def refusal(self, step: Step) -> str:
        """Return why a step is not possible here; empty if it is."""
        try:
            return self._refusal(step)
        except LookupError as error:
            return str(error)

    def _refusal(self, step: Step) -> str:
        if step.action not in self._actions:
            return f"{step.action} is not an action for a cluster"
        if step.action == "partition":
            return self._no_cut(step)
        if "target" not in step.arguments:
            return ""
        found = part(step.arguments["target"])
        if step.action == "pause" and not self._state.processes(self._state.containers(found)):
            return "only root on the node of a pod can stop its processes (SIGSTOP), and none of them is visible here"
        return ""

    def _no_cut(self, step: Step) -> str:
        if "delay_ms" in step.arguments:
            return "packets between pods can be dropped here, not delayed"
        _, other = (part(step.arguments[key]) for key in ("between", "and"))
        if refusal := cut.refusal():
            return refusal
        if not self._state.processes(self._state.containers(other)):
            return "only root on the node of a pod can filter its packets, and none of its processes is visible here"
        return ""

    def fault(self, step: Step, scene: Scene) -> Fault:
        """Return the fault of a step; raises `LookupError` if what it is to hit does not exist now."""
        return self._actions[step.action](step, scene)

    def start(self, target: str) -> Command:
        """Return the command that gives a workload the size that it has now."""
        found = part(target)
        return self._place.kubectl("scale", found.workload, f"--replicas={self._state.size(found.app)}")

    @property
    def _actions(self) -> Mapping[str, Callable[[Step, Scene], Fault]]:
        return {
            "kill": self._ended,
            "stop": self._ended,
            "pause": self._paused,
            "partition": self._cut,
            "mesh": self._mesh,
            "lock-table": self._lock,
            "burst": self._burst,
            "switchover": self._switchover,
            "empty-redis": self._empty_redis,
        }

    def _ended(self, step: Step, scene: Scene) -> Fault:
        target = who(step.arguments["target"], scene.roles)
        found, force = part(target), step.action == "kill"
        whole = self._place.kubectl("rollout", "status", found.workload, f"--timeout={WAIT_S}s")
        if found.replica is None:
            size = self._state.size(found.app)
            if not size:
                raise LookupError(f"{found.workload} is scaled to 0 already")
            do = self._place.act("scale-to-0", found.workload, *(["at-once"] if force else []))
            return Fault(f"{step.action} {target}", do, (self.start(found.app), whole), place=found.app)
        pod = self._state.pod(found)
        if found.kind == DEPLOYMENT:
            # Kubernetes replaces it at once; that is what is waited for.
            do = self._place.kubectl("delete", "pod", pod, "--wait=false", *(AT_ONCE if force else ()))
            return Fault(f"{step.action} {target} ({pod})", do, (whole,), place=found.app)
        marker = str(scene.kept / f"held-{pod}")
        words = ("hold-down", pod, f"{step.for_s + SPARE_S:g}", marker, *(["at-once"] if force else []))
        undo = (self._place.act("release", marker), whole)
        return Fault(f"{step.action} {target}", self._place.act(*words), undo, holds=True, place=found.app)

    def _paused(self, step: Step, scene: Scene) -> Fault:
        target = who(step.arguments["target"], scene.roles)
        containers = self._state.containers(part(target))
        undo = (self._place.act("resume", *containers),)
        return Fault(f"freeze {target}", self._place.act("pause", *containers), undo, place=part(target).app)

    def _cut(self, step: Step, scene: Scene) -> Fault:
        arguments: Mapping[str, Any] = step.arguments
        sides = [who(arguments[key], scene.roles) for key in ("between", "and")]
        one, other = (",".join(self._state.pods(part(each))) for each in sides)
        way, loss = "one-way" if arguments.get("one_way") else "both", arguments.get("loss_percent", 100)
        marker = str(scene.kept / f"cut-{scene.number}")
        do = self._place.act("cut", marker, f"{step.for_s + SPARE_S:g}", str(loss), way, one, other)
        description = f"cut {sides[0]} {'to' if way == 'one-way' else 'from'} {sides[1]}"
        description += f", {loss} % lost" if loss != 100 else ""
        # Of one pod there is one filter.
        return Fault(description, do, (self._place.act("heal", marker, other),), holds=True, place=part(sides[1]).app)

    def _mesh(self, step: Step, scene: Scene) -> Fault:
        file = step.arguments["file"]
        kept = str(scene.kept / f"mesh-{scene.number}.yaml")
        undo = (self._place.act("mesh-back", file, kept),)
        return Fault(f"mesh {Path(file).stem}", self._place.act("mesh", file, kept), undo, place=resource(file))

    def _lock(self, step: Step, scene: Scene) -> Fault:
        table = step.arguments["table"]
        do = self._place.act("lock-table", table, f"{step.for_s + SPARE_S:g}")
        return Fault(f"lock table {table}", do, (self._place.act("unlock-table"),), holds=True)

    def _burst(self, step: Step, _scene: Scene) -> Fault:
        factor = int(step.arguments["factor"])
        return Fault(f"{factor} times the traffic", (), factor=factor)

    def _switchover(self, _step: Step, scene: Scene) -> Fault:
        leader, successor = who(LEADER, scene.roles), who(REPLICA, scene.roles)
        words = ("switchover", f"--leader={leader}", f"--candidate={successor}", "--force")
        do = self._place.kubectl("exec", leader, "--container=app", "--", "patronictl", *words)
        return Fault(f"switchover from {leader} to {successor}", do)

    def _empty_redis(self, _step: Step, _scene: Scene) -> Fault:
        whole = self._place.kubectl("rollout", "status", part("redis").workload, f"--timeout={WAIT_S}s")
        return Fault("empty Redis", self._place.act("empty-redis"), (whole,), place="redis")
