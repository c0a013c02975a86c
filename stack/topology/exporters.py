"""
The processes that measure PostgreSQL, Redis and the machine for Prometheus; Kafka's agent is part of it.
"""

from collections.abc import Iterator

from stack.topology.addresses import Endpoint, Host, Port
from stack.topology.checks import HttpCheck
from stack.topology.plan import Plan
from stack.topology.processes import Process, Role
from stores import files

CONNECT_S = 3
# Of node exporter's collectors; what depends on hardware or on rights that a user lacks is left out.
COLLECTORS = ("cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo", "pressure", "timex", "vmstat")
# File systems in memory, of containers and read-only ones say nothing of the machine's disks.
NO_DISKS = (
    "^(autofs|binfmt_misc|cgroup2?|configfs|debugfs|devpts|devtmpfs|fuse.*|nsfs|overlay|proc|squashfs|sysfs|tmpfs)$"
)


def processes(plan: Plan) -> Iterator[Process]:
    """Return an exporter for each member of PostgreSQL, Redis's and the machine's."""
    for member in plan.members:
        yield _postgres(plan, member)
    yield _redis(plan)
    yield _node(plan)


def postgres_at(plan: Plan, member: int) -> Endpoint:
    """Return the address of a member's metrics."""
    return plan.network.at(Host.POSTGRES, Port.POSTGRES_METRICS, member)


def redis_at(plan: Plan) -> Endpoint:
    """Return the address of Redis's metrics."""
    return plan.network.at(Host.REDIS, Port.REDIS_METRICS)


def node_at(plan: Plan) -> Endpoint:
    """Return the address of the machine's metrics."""
    return plan.network.at(Host.NODE, Port.NODE_METRICS)


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


def _node(plan: Plan) -> Process:
    listen = node_at(plan)
    return Process(
        name="node-0-exporter",
        service="node-exporter",
        role=Role.MONITOR,
        command=(
            str(plan.programs.node_exporter),
            "--collector.disable-defaults",
            *(f"--collector.{each}" for each in COLLECTORS),
            f"--collector.filesystem.fs-types-exclude={NO_DISKS}",
            f"--web.listen-address={listen}",
            "--log.level=error",
        ),
        listens=(listen,),
        check=HttpCheck(listen, "/"),
    )
