"""The one-machine stack as an environment of experiments."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager

from chaos import breakage, truth
from chaos.lab import actions, versions
from chaos.lab.actions import Command, Fault, Scene
from chaos.lab.edge import Edge
from chaos.lab.environment import TOPICS, Addresses
from chaos.lab.expect import LogMark
from chaos.lab.experiment import Step
from chaos.partition.filter import NotAllowed, program
from chaos.truth import NotRead, Published
from runtime.errors import Error
from runtime.messaging.cluster import KafkaCluster
from runtime.messaging.reader import topic_ends
from stack import customer
from stack.commands import status
from stack.describe import describe
from stack.run.lock import exclusive
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology import system
from stack.topology.addresses import Host, Port
from stack.topology.plan import Plan
from stack.topology.processes import Process

# What an earlier run had stopped was started a moment ago.
HEALTHY_LIMIT_S = 8.0


class StackActions:
    """Faults by the stack's own commands; *patroni* returns where PostgreSQL's members say who leads, `HOST:PORT`."""

    def __init__(self, patroni: Callable[[], Sequence[str]]) -> None:
        self._patroni = patroni

    def fault(self, step: Step, scene: Scene) -> Fault:
        """Return the fault of a step."""
        return actions.fault(step, scene)

    def refusal(self, step: Step) -> str:
        """Return why a partition is not possible: without the rights the network could not be healed either."""
        if step.action == "partition":
            try:
                program()
            except NotAllowed as error:
                return str(error)
        return ""

    async def roles(self) -> dict[str, str]:
        """Return the role of each member of PostgreSQL."""
        return await breakage.roles(self._patroni())


class OneMachine(StackActions):
    """The stack of *chosen*, which need not exist for what changes nothing."""

    def __init__(self, chosen: Settings) -> None:
        super().__init__(lambda: [str(address) for address in self._plan.patroni])
        self._chosen = chosen
        self.folder = chosen.run / "chaos"
        self.reports = chosen.reports

    @functools.cached_property
    def _plan(self) -> Plan:
        return describe(self._chosen)

    @functools.cached_property
    def _processes(self) -> Sequence[Process]:
        return system.processes(system.steps(self._plan))

    def command(self, words: str) -> str:
        """Return the command line for this stack."""
        return self._chosen.command(words)

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the stack's lock of experiments; raises `Busy`."""
        return exclusive(self._chosen, "chaos")

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Addresses]:
        """Return the addresses, at which everything answers anyway."""
        prometheus = f"http://{self._plan.network.at(Host.PROMETHEUS, Port.PROMETHEUS)}"
        yield Addresses(edge_of(self._chosen), self._plan.database_url, prometheus)

    def require_healthy(self) -> None:
        """Raise `NotHealthy` if a process is not."""
        status.require_healthy(self._chosen, self._processes, "an experiment", within_s=HEALTHY_LIMIT_S)

    def unhealthy(self) -> dict[str, str]:
        """Return the state of each process that is not healthy."""
        return status.unhealthy(Supervisor(self._chosen), self._processes)

    def start(self, part: str) -> Command:
        """Return the command that starts a part."""
        return actions.start(part)

    def log_mark(self) -> LogMark:
        """Return the ends of all logs."""
        return LogMark.now(self._chosen.log)

    def topic_ends(self) -> dict[str, int]:
        """Return the sum of the ends of each topic's partitions."""
        cluster = KafkaCluster(self._plan.kafka_brokers)
        try:
            return {topic: sum(topic_ends(cluster, topic).values()) for topic in TOPICS}
        except Error as error:
            raise NotRead(error.message) from error

    def published(self) -> Published:
        """Read `order_events`."""
        return truth.published(self._plan.kafka_brokers)

    def versions(self) -> dict[str, str]:
        """Return the commit and the versions of this machine."""
        return versions.all()


def edge_of(chosen: Settings) -> Edge:
    """Return the edge of a stack."""

    def token(name: str, *, operator: bool = False) -> str:
        return customer.token(chosen, name, operator=operator)

    return Edge(f"127.0.0.1:{chosen.port}", chosen.edge_url, token)
