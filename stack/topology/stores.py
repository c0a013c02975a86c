"""
The data stores' processes: etcd, PostgreSQL under Patroni, Redis, Kafka, and Prometheus.
"""

from stack.topology import exporters
from stack.topology.addresses import Host, Port
from stack.topology.checks import HttpCheck, KafkaCheck, PatroniCheck, RedisCheck
from stack.topology.plan import Plan
from stack.topology.processes import Process, Role, Task

# A cluster id is any 16 bytes in URL-safe base64; each stack's Kafka has a folder of its own.
KAFKA_CLUSTER_ID = "b3JkZXItc3lzdGVtLTAwMQ"
ETCD_BYTES = 256 * 1024 * 1024


def etcd(plan: Plan) -> Process:
    """Return etcd, in which Patroni's members elect the leader."""
    client = plan.network.at(Host.ETCD, Port.ETCD)
    peer = plan.network.at(Host.ETCD, Port.ETCD_PEER)
    return Process(
        name="etcd-0",
        service="etcd",
        role=Role.STORE,
        command=(
            str(plan.programs.etcd),
            "--name=etcd-0",
            f"--data-dir={plan.settings.data}/etcd-0",
            f"--listen-client-urls=http://{client}",
            f"--advertise-client-urls=http://{client}",
            f"--listen-peer-urls=http://{peer}",
            f"--initial-advertise-peer-urls=http://{peer}",
            f"--initial-cluster=etcd-0=http://{peer}",
            "--auto-compaction-retention=1h",
            f"--quota-backend-bytes={ETCD_BYTES}",
            "--log-level=warn",
        ),
        listens=(client, peer),
        check=HttpCheck(client, "/health"),
    )


def postgres(plan: Plan, member: int) -> Process:
    """Return one member of the PostgreSQL cluster, run by Patroni."""
    name = f"postgres-{member}"
    api = plan.network.at(Host.POSTGRES, Port.PATRONI, member)
    return Process(
        name=name,
        service="postgres",
        role=Role.STORE,
        command=(plan.tool("patroni"), f"{plan.settings.conf}/{name}.yml"),
        environment={"PATH": f"{plan.programs.postgres_bin}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        listens=(plan.network.at(Host.POSTGRES, Port.POSTGRES, member), api),
        check=PatroniCheck(api),
        after=frozenset({"etcd-0"}),
        user=plan.programs.postgres_user,
        directory=plan.settings.data / name,
        stop_s=30,
    )


def redis(plan: Plan) -> Process:
    """Return Redis, which has every write on disk before it acknowledges it."""
    listen = plan.network.at(Host.REDIS, Port.REDIS)
    return Process(
        name="redis-0",
        service="redis",
        role=Role.STORE,
        command=(str(plan.programs.redis), f"{plan.settings.conf}/redis-0.conf"),
        listens=(listen,),
        check=RedisCheck(listen, plan.passwords.redis),
    )


def format_kafka(plan: Plan, broker: int) -> Task:
    """Return the task that formats a broker's data folder, once."""
    name = f"kafka-{broker}"
    return Task(
        name=f"{name}-format",
        command=_java(
            plan,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={KAFKA_CLUSTER_ID}",
            f"--config={plan.settings.conf}/{name}.properties",
        ),
        made=plan.settings.data / name / "meta.properties",
    )


def kafka(plan: Plan, broker: int) -> Process:
    """Return a broker, which is a controller too (KRaft)."""
    name = f"kafka-{broker}"
    listen = plan.network.at(Host.KAFKA, Port.KAFKA, broker)
    properties = f"{plan.settings.conf}/{name}.properties"
    metrics = exporters.kafka_at(plan, broker)
    agent = f"{plan.settings.kafka_metrics_libs}/jmx_prometheus_javaagent.jar"
    measured = f"-javaagent:{agent}={metrics}:{plan.settings.checkout}/stores/kafka-metrics.yml"
    return Process(
        name=name,
        service="kafka",
        role=Role.STORE,
        command=_java(plan, "-Xms128m", "-Xmx256m", measured, "kafka.Kafka", properties),
        listens=(listen, plan.network.at(Host.KAFKA, Port.KAFKA_CONTROLLER, broker), metrics),
        check=KafkaCheck(listen),
        after=frozenset({f"{name}-format"}),
        stop_s=30,
    )


def prometheus(plan: Plan) -> Process:
    """Return Prometheus, which keeps the metrics of applications and Envoys for 30 days, or as many as fit."""
    listen = plan.network.at(Host.PROMETHEUS, Port.PROMETHEUS)
    return Process(
        name="prometheus-0",
        service="prometheus",
        role=Role.MONITOR,
        command=(
            str(plan.programs.prometheus),
            f"--config.file={plan.settings.conf}/prometheus/prometheus.yml",
            f"--storage.tsdb.path={plan.settings.data}/prometheus-0",
            "--storage.tsdb.retention.time=31d",
            "--storage.tsdb.retention.size=2GB",
            f"--web.listen-address={listen}",
            "--web.enable-lifecycle",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ),
        listens=(listen,),
        check=HttpCheck(listen, "/-/ready"),
    )


def _java(plan: Plan, *arguments: str) -> tuple[str, ...]:
    return (
        str(plan.programs.java),
        "-XX:+UseSerialGC",
        "-XX:ReservedCodeCacheSize=64m",
        "-XX:MaxDirectMemorySize=64m",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={plan.settings.checkout}/stack/kafka/log4j2.xml",
        "-cp",
        f"{plan.settings.kafka_libs}/*",
        *arguments,
    )
