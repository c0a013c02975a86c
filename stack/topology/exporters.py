"""
The processes that measure PostgreSQL and Redis for Prometheus, each beside the store; Kafka's agent is part of it.
"""

from collections.abc import Iterator

from stack.topology.addresses import Endpoint, Host, Port
from stack.topology.checks import HttpCheck
from stack.topology.plan import Plan
from stack.topology.processes import Process, Role
from stores import files

CONNECT_S = 3


def processes(plan: Plan) -> Iterator[Process]:
    """Return an exporter for each member of PostgreSQL, and Redis's."""
    for member in plan.members:
        yield _postgres(plan, member)
    yield _redis(plan)


def postgres_at(plan: Plan, member: int) -> Endpoint:
    """Return the address of a member's metrics."""
    return plan.network.at(Host.POSTGRES, Port.POSTGRES_METRICS, member)


def redis_at(plan: Plan) -> Endpoint:
    """Return the address of Redis's metrics."""
    return plan.network.at(Host.REDIS, Port.REDIS_METRICS)


def kafka_at(plan: Plan, broker: int) -> Endpoint:
    """Return the address of a broker's metrics."""
    return plan.network.at(Host.KAFKA, Port.KAFKA_METRICS, broker)


def _postgres(plan: Plan, member: int) -> Process:
    listen, server = postgres_at(plan, member), plan.network.at(Host.POSTGRES, Port.POSTGRES, member)
    return Process(
        name=f"postgres-{member}-exporter",
        service="postgres-exporter",
        role=Role.MONITOR,
        command=(
            str(plan.programs.postgres_exporter),
            *files.POSTGRES_EXPORTER,
            f"--extend.query-path={plan.settings.checkout}/stores/postgres-metrics.yml",
            f"--web.listen-address={listen}",
            "--log.level=warn",
        ),
        environment={
            "DATA_SOURCE_URI": f"{server}/orders?sslmode=disable&connect_timeout={CONNECT_S}",
            "DATA_SOURCE_USER": files.MONITOR,
            "DATA_SOURCE_PASS": plan.passwords.monitor,
        },
        listens=(listen,),
        check=HttpCheck(listen, "/"),
    )


def _redis(plan: Plan) -> Process:
    listen = redis_at(plan)
    return Process(
        name="redis-0-exporter",
        service="redis-exporter",
        role=Role.MONITOR,
        command=(
            str(plan.programs.redis_exporter),
            *files.REDIS_EXPORTER,
            f"-redis.addr=redis://{plan.network.at(Host.REDIS, Port.REDIS)}",
            f"-redis.user={files.MONITOR}",
            f"-connection-timeout={CONNECT_S}s",
            f"-web.listen-address={listen}",
        ),
        environment={"REDIS_PASSWORD": plan.passwords.monitor},
        listens=(listen,),
        check=HttpCheck(listen, "/health"),
    )
