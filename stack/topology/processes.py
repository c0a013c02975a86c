"""
The two kinds of things a stack runs: processes that stay, and tasks that end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from stack.topology.addresses import Endpoint
from stack.topology.checks import Check


class Role(StrEnum):
    """What a process is for."""

    STORE = "store"
    APPLICATION = "application"
    PROXY = "proxy"
    CONTROL = "control"
    MONITOR = "monitor"


@dataclass(frozen=True, kw_only=True)
class Process:
    """
    A supervised process: it comes back when it ends without having been told to.
    """

    name: str  # inventory-0, inventory-0-envoy
    service: str  # what `make kill SVC=` names: inventory
    role: Role
    command: tuple[str, ...]
    check: Check
    listens: tuple[Endpoint, ...] = ()
    after: frozenset[str] = frozenset()  # processes that must be healthy and tasks that must be done
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    directory: Path | None = None
    stop_seconds: int = 15  # from SIGTERM to SIGKILL
    start_seconds: float = 120  # until healthy, on a machine with other work, too


@dataclass(frozen=True, kw_only=True)
class Task:
    """
    A command that prepares something and ends; safe to run again.
    """

    name: str
    command: tuple[str, ...]
    after: frozenset[str] = frozenset()
    environment: Mapping[str, str] = field(default_factory=dict)
    made: Path | None = None  # what it makes; it does not run again while that exists
    seconds: float = 120


Step = Process | Task
