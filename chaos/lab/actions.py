"""
The actions of an experiment: commands that inject faults, and those that revert them.

They are commands, so that any process that finds them in the journal can revert another's faults.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.breakage import LEADER
from chaos.lab.experiment import Step
from chaos.lab.resources import resource

REPLICA = "postgres-replica"
# How much longer than the fault the process that holds it lives, so that the runner is the one to revert it.
SPARE_S = 30
Command = tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """
    One fault, and how it is reverted.
    """

    description: str
    do: Command
    undo: tuple[Command, ...] = ()  # idempotent
    holds: bool = False  # `do` runs as long as the fault lasts, and prints "in force" once it is effective
    factor: int = 1  # the factor of the load, for which there is no command
    place: str = ""  # what one fault at a time can hit, where `undo` does not tell: it puts back what it found there


@dataclass(frozen=True)
class Scene:
    """What the commands of a fault depend on."""

    number: int  # the fault's number in its run
    roles: Mapping[str, str]  # PostgreSQL's members and their roles
    kept: Path  # a folder for what an undo needs


def fault(step: Step, scene: Scene) -> Fault:
    """Return the fault of a step; raises `LookupError` if no member has the role that it names."""
    return ACTIONS[step.action](step, scene)


def start(part: str) -> Command:
    """Return the command that starts a part."""
    return _stack("start", part)


def _stack(*words: str) -> Command:
    return (sys.executable, "-m", "stack", *words)


def _act(*words: str) -> Command:
    return (sys.executable, "-m", "chaos.lab.act", *words)


def _ended(step: Step, scene: Scene) -> Fault:
    target = who(step.arguments["target"], scene.roles)
    return Fault(f"{step.action} {target}", _stack(step.action, target), (start(target),))


def _paused(step: Step, scene: Scene) -> Fault:
    target = who(step.arguments["target"], scene.roles)
    return Fault(f"freeze {target}", _act("pause", target), (_act("resume", target),))


def _mesh(step: Step, scene: Scene) -> Fault:
    file = step.arguments["file"]
    kept = str(scene.kept / f"mesh-{scene.number}.yaml")
    undo = (_act("mesh-back", file, kept),)
    return Fault(f"mesh {Path(file).stem}", _act("mesh", file, kept), undo, place=resource(file))


def _partition(step: Step, scene: Scene) -> Fault:
    arguments: Mapping[str, Any] = step.arguments
    sides = (who(arguments["between"], scene.roles), who(arguments["and"], scene.roles))
    name = f"lab_{scene.number}"
    words = [f"--between={sides[0]}", f"--and={sides[1]}", f"--name={name}", f"--for={step.for_s + SPARE_S:g}s"]
    words += ["--one-way"] if arguments.get("one_way") else []
    words += [f"--loss={arguments['loss_percent']}%"] if "loss_percent" in arguments else []
    words += [f"--delay={arguments['delay_ms']}ms"] if "delay_ms" in arguments else []
    command = (sys.executable, "-m", "chaos.partition")
    description = " ".join(["cut", sides[0], "from" if not arguments.get("one_way") else "to", sides[1], *words[4:]])
    return Fault(description, (*command, *words), ((*command, "--heal", name),), holds=True)


def _lock(step: Step, _scene: Scene) -> Fault:
    table = step.arguments["table"]
    do = _act("lock-table", table, f"{step.for_s + SPARE_S:g}")
    return Fault(f"lock table {table}", do, (_act("unlock-table"),), holds=True)


def _burst(step: Step, _scene: Scene) -> Fault:
    factor = int(step.arguments["factor"])
    return Fault(f"{factor} times the traffic", (), factor=factor)


def _switchover(_step: Step, scene: Scene) -> Fault:
    leader = who(LEADER, scene.roles)
    return Fault(f"switchover from {leader}", _act("switchover", leader))


def _empty_redis(_step: Step, _scene: Scene) -> Fault:
    return Fault("empty Redis", _act("empty-redis"))


def who(target: str, roles: Mapping[str, str]) -> str:
    """Return the process that a target means now; raises `LookupError` if no member has the role."""
    wanted = {LEADER: ("leader",), REPLICA: ("sync_standby", "quorum_standby", "replica")}.get(target)
    if wanted is None:
        return target
    # Of several replicas the one that commits wait for.
    found = sorted((wanted.index(role), name) for name, role in roles.items() if role in wanted)
    if not found:
        raise LookupError(f"no member of PostgreSQL is the {target.removeprefix('postgres-')} now")
    return found[0][1]


ACTIONS: Mapping[str, Callable[[Step, Scene], Fault]] = {
    "kill": _ended,
    "stop": _ended,
    "pause": _paused,
    "mesh": _mesh,
    "partition": _partition,
    "lock-table": _lock,
    "burst": _burst,
    "switchover": _switchover,
    "empty-redis": _empty_redis,
}
