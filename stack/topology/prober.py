"""
The process that places an order every 10 s through the edge, as a customer of its own, and cancels it.

Not by default: on this machine the orders that somebody counts are their own (`make messages LAST=1`, a test).
"""

from collections.abc import Iterator

from stack.topology import workloads
from stack.topology.addresses import Endpoint, Host, Port
from stack.topology.checks import HttpCheck
from stack.topology.plan import REPLICAS, Plan
from stack.topology.processes import Process, Role

NAME = "prober-0"


def processes(plan: Plan) -> Iterator[Process]:
    """Return the prober; nothing if the stack has none."""
    if not plan.settings.probe:
        return
    listen = listens_at(plan)
    served = (workloads.EDGE, *(f"{service}-{replica}" for service in workloads.SERVICES for replica in REPLICAS))
    yield Process(
        name=NAME,
        service="prober",
        role=Role.MONITOR,
        command=(plan.tool("python"), "-m", "gateway.prober"),
        environment={
            "METRICS_LISTEN": str(listen),
            "POD_NAME": NAME,
            "LOG_LEVEL": plan.settings.log_level,
            "SHOP_URL": plan.settings.edge_url,
            "TOKEN_URL": f"http://{plan.network.at(Host.ISSUER, Port.ISSUER)}/issuer/token",
        },
        listens=(listen,),
        check=HttpCheck(listen, "/metrics"),
        # One that starts before them would find an outage.
        after=frozenset({*served, *(f"{each}-envoy" for each in served[1:]), "issuer-0"}),
    )


def listens_at(plan: Plan) -> Endpoint:
    """Return the address of the prober's metrics."""
    return plan.network.at(Host.PROBER, Port.METRICS)
