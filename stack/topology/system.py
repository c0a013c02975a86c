"""
The whole system on one machine: every process and task, by name.

Pure description: nothing here starts, writes or reads anything.
"""

from collections.abc import Iterable, Mapping

from stack.errors import StackError
from stack.topology import alertmanager, exporters, prober, stores, traces, workloads
from stack.topology.plan import Plan
from stack.topology.processes import Process, Role, Step


class UnknownService(StackError):
    """The name is not one of the stack's; the message lists those that are."""


def steps(plan: Plan) -> dict[str, Step]:
    """
    Return everything that `make up` runs; extend this list to extend the system.
    """
    everything: list[Step] = [
        stores.etcd(plan),
        *(stores.postgres(plan, member) for member in plan.members),
        stores.redis(plan),
        *(stores.format_kafka(plan, broker) for broker in plan.brokers),
        *(stores.kafka(plan, broker) for broker in plan.brokers),
        *workloads.preparations(plan),
        *workloads.mesh(plan),
        *workloads.applications(plan),
        *workloads.pages(plan),
        workloads.issuer(plan),
        *workloads.proxies(plan),
        stores.prometheus(plan),
        *exporters.processes(plan),
        *traces.processes(plan),
        *alertmanager.processes(plan),
        *prober.processes(plan),
    ]
    return {step.name: step for step in everything}


def processes(described: Mapping[str, Step]) -> list[Process]:
    """Return the steps that keep running."""
    return [step for step in described.values() if isinstance(step, Process)]


def named(everything: Iterable[Process], name: str) -> list[Process]:
    """
    Return the processes that `SVC=name` selects: one process, or every replica of a service.

    Raises `UnknownService`.
    """
    everything = list(everything)
    found = [process for process in everything if name in (process.name, process.service)]
    if not found:
        known = sorted({process.service for process in everything if process.role is not Role.PROXY} | {"edge"})
        replicas = sorted(process.name for process in everything)
        raise UnknownService(f"SVC={name!r} is not one of {', '.join(known)}, nor of {', '.join(replicas)}")
    return found
