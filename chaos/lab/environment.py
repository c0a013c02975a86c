"""What the lab needs of the place where an experiment runs: addresses, health, evidence, and faults as commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chaos.lab.actions import Command, Fault, Scene
from chaos.lab.edge import Edge
from chaos.lab.experiment import Experiment, Step
from chaos.truth import Published

TOPICS = ("pending_orders", "order_events", "stock_events")


@dataclass(frozen=True)
class Addresses:
    """Where the parts answer this process."""

    edge: Edge
    database_url: str
    """All members of PostgreSQL; the primary is chosen."""
    prometheus_url: str
    """Empty without a Prometheus."""


class Logs(Protocol):
    """The services' logs since one time."""

    def lines(self, service: str) -> list[str]:
        """Return what the replicas of a service have logged since."""


class Actions(Protocol):
    """What the faults of a run need of an environment."""

    def fault(self, step: Step, scene: Scene) -> Fault:
        """Return the fault of a step; raises `LookupError` if what it is to hit does not exist now."""

    def refusal(self, step: Step) -> str:
        """Return why the step's action is not possible here; empty if it is. Changes nothing."""

    async def roles(self) -> dict[str, str]:
        """Return the role of each member of PostgreSQL: `leader`, `sync_standby` or `replica`; empty if none says."""


class Environment(Actions, Protocol):
    """One deployment of the system. What blocks is called in a thread."""

    folder: Path
    """The journal's folder."""
    reports: Path

    def command(self, words: str) -> str:
        """Return the command line of `make WORDS` for this environment."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the lock under which one run at a time breaks something here; raises `StackError` if another has it."""

    def connected(self) -> AbstractAsyncContextManager[Addresses]:
        """Keep the parts reachable during the block."""

    def require_healthy(self) -> None:
        """Raise `StackError` if a part is not healthy, and does not become so in the time that a start takes."""

    def unhealthy(self) -> dict[str, str]:
        """Return the state of each part that is not healthy."""

    def start(self, part: str) -> Command:
        """Return the command that starts a part, whose wanted size is that of now."""

    def log_mark(self) -> Logs:
        """Return the logs from now on."""

    def topic_ends(self) -> dict[str, int]:
        """Return how many records each of `TOPICS` has got since it was created; raises `NotRead`."""

    def published(self) -> Published:
        """Read `order_events` completely; raises `NotRead`."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what runs."""


def refusals(actions: Actions, experiment: Experiment) -> list[str]:
    """Return why an experiment is not possible, a reason for each kind of step that is refused."""
    found = [(step, actions.refusal(step)) for step in experiment.method]
    return list(dict.fromkeys(f"{step.describe()}: {why}" for step, why in found if why))


def leader_of(roles: Mapping[str, str]) -> str:
    """Return the member that leads PostgreSQL; empty if none does."""
    return next((name for name, role in roles.items() if role == "leader"), "")


def shown(command: Sequence[str]) -> str:
    """Return a command as a person reads it: without the interpreter's path."""
    words = list(command)
    return " ".join(words[2:] if words[1:2] == ["-m"] else words)
