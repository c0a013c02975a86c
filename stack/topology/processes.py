"""
The two kinds of steps of a stack: processes that keep running, and tasks that end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from stack.topology.addresses import Endpoint
from stack.topology.checks import Check


class Role(StrEnum):
    """The role of a process."""

    STORE = "store"
    APPLICATION = "application"
    PROXY = "proxy"
    CONTROL = "control"
    MONITOR = "monitor"


@dataclass(frozen=True, kw_only=True)
class Process:
    """
    A supervised process: it is restarted when it exits unexpectedly.
    """

    name: str  # inventory-0, inventory-0-envoy
    service: str  # what `make kill SVC=` names: inventory
    role: Role
    command: tuple[str, ...]
    check: Check
    listens: tuple[Endpoint, ...] = ()
    after: frozenset[str] = frozenset()  # processes that must be healthy and tasks that must be done before
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    directory: Path | None = None
    stop_s: int = 15  # from SIGTERM to SIGKILL
    start_s: float = 120  # until healthy, with room for a loaded machine


@dataclass(frozen=True, kw_only=True)
class Task:
    """
    A command that prepares something and exits; idempotent.
    """

    name: str
    command: tuple[str, ...]
    after: frozenset[str] = frozenset()
    environment: Mapping[str, str] = field(default_factory=dict)
    made: Path | None = None  # what it creates; the task is skipped while that exists
    seconds: float = 120


Step = Process | Task
