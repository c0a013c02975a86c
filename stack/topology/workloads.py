"""
The system's own processes: the services, their sidecars, the edge and the mesh controller.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from stack.settings import Settings
from stack.topology import traces
from stack.topology.addresses import Endpoint, Host, Port
from stack.topology.checks import GrpcCheck, HttpCheck, MeshCheck
from stack.topology.plan import REPLICAS, Plan
from stack.topology.processes import Process, Role, Task
from stores import files

NAMESPACE = "shop"
CLUSTER_DOMAIN = "svc.cluster.local"
SERVICES: Mapping[str, Host] = {"orders": Host.ORDERS, "inventory": Host.INVENTORY}
EDGE = "edge-0"
MESH_FILES = "mesh-files"
PAGES = "pages-0"


def preparations(plan: Plan) -> Iterator[Task]:
    """Return the tasks that must be done before the first order: database, schema, topics, products."""
    yield Task(
        name="orders-database",
        command=(plan.tool("python"), "-m", "stack.run.database"),
        environment=plan.settings.environment(),
        after=frozenset({"postgres-0"}),
    )
    yield Task(
        name="postgres-settings",
        command=("sh", "stores/agree.sh", "stores/patroni.yml", f"{plan.settings.conf}/postgres-0.yml"),
        environment={"PATH": f"{plan.settings.venv}/bin:/usr/bin:/bin"},
        after=frozenset({"orders-database"}),
    )
    for service, needed in (("orders", "orders-database"), ("inventory", "redis-0")):
        yield Task(
            name=f"{service}-migrate",
            command=(plan.tool("python"), "-m", f"{service}_svc", "migrate"),
            environment=service_environment(plan, service, 0),
            after=frozenset({needed, *(f"kafka-{broker}" for broker in plan.brokers)}),
        )


def applications(plan: Plan) -> Iterator[Process]:
    """Return two replicas of each service."""
    for service, host in SERVICES.items():
        for replica in REPLICAS:
            grpc = plan.network.at(host, Port.APPLICATION, replica)
            yield Process(
                name=f"{service}-{replica}",
                service=service,
                role=Role.APPLICATION,
                command=(plan.tool("python"), "-m", f"{service}_svc"),
                environment=service_environment(plan, service, replica),
                listens=(grpc, plan.network.at(host, Port.METRICS, replica)),
                check=GrpcCheck(grpc),
                after=frozenset({f"{service}-migrate"}),
                stop_s=30,
            )


def pages(plan: Plan) -> Iterator[Process]:
    """Return the server of the web pages and of the operations board."""
    network = plan.network
    listen = network.at(Host.PAGES, Port.PAGES_APPLICATION)
    yield Process(
        name=PAGES,
        service="pages",
        role=Role.APPLICATION,
        command=(plan.tool("python"), "-m", "gateway.pages"),
        environment={
            "HTTP_LISTEN": str(listen),
            "METRICS_LISTEN": str(network.at(Host.PAGES, Port.METRICS)),
            "POD_NAME": PAGES,
            "PROMETHEUS_URL": f"http://{network.at(Host.PROMETHEUS, Port.PROMETHEUS)}",
            "INVENTORY_ADDRESS": str(network.at(Host.PAGES, Port.OUTBOUND)),
            "INVENTORY_AUTHORITY": authority("inventory"),
            "ISTIO_FOLDERS": ",".join(map(str, istio_folders(plan.settings))),
            "APPLIED_FOLDER": f"{plan.settings.mesh}/applied",
            "PROMETHEUS_LINK": f"http://{network.at(Host.PROMETHEUS, Port.PROMETHEUS)}",
            # As Debian's Prometheus has it; others have it at /graph.
            "GRAPH_LINK": f"http://{network.at(Host.PROMETHEUS, Port.PROMETHEUS)}/classic/graph"
            "?g0.range_input=1h&g0.tab=0&g0.expr=",
            "TRACES_LINK": traces.link(plan),
            "BACKUPS_FOLDER": str(plan.settings.backups),
            "STORES": ",".join(
                f"{name}={address}"
                for name, address in (
                    *(("Kafka", network.at(Host.KAFKA, Port.KAFKA, broker)) for broker in plan.brokers),
                    ("Redis", network.at(Host.REDIS, Port.REDIS)),
                    ("etcd", network.at(Host.ETCD, Port.ETCD)),
                )
            ),
            "OIDC_ISSUER": f"http://issuer.{NAMESPACE}.{CLUSTER_DOMAIN}:8080",
            "OIDC_DISCOVERY": "/issuer/.well-known/openid-configuration",
        },
        listens=(listen, network.at(Host.PAGES, Port.METRICS)),
        check=HttpCheck(listen, "/healthz"),
    )


def issuer(plan: Plan) -> Process:
    """Return the development issuer: its sign-in page, and the key with which it and `make token` sign tokens."""
    listen = plan.network.at(Host.ISSUER, Port.ISSUER)
    return Process(
        name="issuer-0",
        service="issuer",
        role=Role.CONTROL,
        command=(plan.tool("python"), "-m", "gateway.issuer"),
        environment={
            **issuer_environment(plan.settings),
            "ISSUER_LISTEN": str(listen),
            "ISSUER_ORIGINS": ",".join(edge_origins(plan.settings)),
        },
        listens=(listen,),
        check=HttpCheck(listen, "/healthz"),
    )


def edge_origins(settings: Settings) -> Iterator[str]:
    """Return the origins at which browsers on this machine find the edge."""
    for scheme, port in (("http", settings.port), ("https", settings.tls_port)):
        for host in ("127.0.0.1", "localhost"):
            yield f"{scheme}://{host}:{port}"


def issuer_environment(settings: Settings) -> dict[str, str]:
    """Return where the issuer, and commands that sign for it, keep the key."""
    return {"ISSUER_STATE": f"{settings.secrets}/issuer"}


def operator_environment(plan: Plan) -> dict[str, str]:
    """Return the environment of an operator's command of orders, which runs beside the replicas."""
    return service_environment(plan, "orders", 0) | {"POD_NAME": "operator"}


def service_environment(plan: Plan, service: str, replica: int) -> dict[str, str]:
    """Return the environment of a service, which calls the other service through its own sidecar."""
    host = SERVICES[service]
    outbound = str(plan.network.at(host, Port.OUTBOUND, replica))
    common = {
        "GRPC_LISTEN": str(plan.network.at(host, Port.APPLICATION, replica)),
        "METRICS_LISTEN": str(plan.network.at(host, Port.METRICS, replica)),
        "POD_NAME": f"{service}-{replica}",
        "KAFKA_BROKERS": plan.kafka_brokers,
        "PAGE_TOKEN_KEY_FILE": f"{plan.settings.secret_files}/page_token_key",
        "LOG_LEVEL": plan.settings.log_level,
        **traces.environment(plan),
    }
    if service == "orders":
        return common | {
            "DATABASE_URL": plan.database_url_without_password,
            "DATABASE_PASSWORD_FILE": f"{plan.settings.secret_files}/orders_database",
            "DATABASE_ROLE": files.SERVING,
            "INVENTORY_ADDRESS": outbound,
            "INVENTORY_AUTHORITY": authority("inventory"),
        }
    return common | {
        "REDIS_URL": plan.redis_url_without_password,
        "REDIS_PASSWORD_FILE": f"{plan.settings.secret_files}/redis",
        "ORDERS_ADDRESS": outbound,
        "ORDERS_AUTHORITY": authority("orders"),
    }


def authority(service: str) -> str:
    """Return the authority by which an application calls a service of the mesh."""
    return f"{service}.{NAMESPACE}.{CLUSTER_DOMAIN}:{Port.SERVICE.value}"


def mesh(plan: Plan) -> Iterator[Process | Task]:
    """
    Return the issuing of the workloads' certificates, and the controller that turns Istio's files into configuration.
    """
    yield Task(name="certificates", command=certificates(plan.settings))
    places = (f"--certificates={_certificates_folder(plan.settings)}", f"--out={plan.settings.mesh}")
    yield Task(
        name=MESH_FILES,
        command=translator(plan.settings, "write", *places),
        after=frozenset({"certificates"}),
    )
    metrics = plan.network.at(Host.MESH, Port.METRICS)
    yield Process(
        name="mesh",
        service="mesh",
        role=Role.CONTROL,
        command=translator(plan.settings, "serve", *places, f"--metrics={metrics}"),
        listens=(metrics,),
        check=MeshCheck(plan.settings.mesh / "status.json"),
        after=frozenset({MESH_FILES}),
    )


def proxies(plan: Plan) -> Iterator[Process]:
    """Return a sidecar for each replica, and the edge."""
    for service, host in SERVICES.items():
        for replica in REPLICAS:
            listens = [plan.network.at(host, port, replica) for port in (Port.ADMIN, Port.SERVICE, Port.OUTBOUND)]
            name = f"{service}-{replica}"
            yield _envoy(plan, name, process=f"{name}-envoy", service=f"{name}-envoy", listens=tuple(listens))
    listens = [plan.network.at(Host.PAGES, port) for port in (Port.ADMIN, Port.PAGES, Port.OUTBOUND)]
    yield _envoy(plan, PAGES, process=f"{PAGES}-envoy", service=f"{PAGES}-envoy", listens=tuple(listens))
    served = (Endpoint("127.0.0.1", port) for port in (plan.settings.port, plan.settings.tls_port))
    edge = (plan.network.at(Host.EDGE, Port.ADMIN), *served)
    yield _envoy(plan, EDGE, process=EDGE, service="edge", listens=edge)


def sidecar(plan: Plan, name: str, place: int) -> Process:
    """Return the sidecar of a service of one's own, the one at *place* among those that joined."""
    listens = (plan.network.at(Host.JOINED, Port.ADMIN, place), plan.network.at(Host.JOINED, Port.OUTBOUND, place))
    return _envoy(plan, f"{name}-0", process=f"{name}-0-envoy", service=f"{name}-0-envoy", listens=listens)


def certificates(settings: Settings) -> tuple[str, ...]:
    """Return the translator's command that issues the workloads' certificates."""
    return _translator(settings, "certificates", f"--out={_certificates_folder(settings)}")


def translator(settings: Settings, action: str, *further: str) -> tuple[str, ...]:
    """Return the translator's command on Istio's files."""
    return _translator(settings, action, *(f"--istio={folder}" for folder in istio_folders(settings)), *further)


def istio_folders(settings: Settings) -> tuple[Path, ...]:
    """Return the folders of Istio's files: the hand-written, the generated and those for one machine."""
    return settings.checkout / "istio", settings.checkout / "build" / "istio", settings.conf / "istio"


def _translator(settings: Settings, action: str, *options: str) -> tuple[str, ...]:
    python = settings.venv / "bin" / "python"
    return (str(python), "-m", "translator", action, f"--registry={settings.conf}/registry.yaml", *options)


def _certificates_folder(settings: Settings) -> str:
    return f"{settings.secrets}/certificates"


def _envoy(plan: Plan, workload: str, *, process: str, service: str, listens: tuple[Endpoint, ...]) -> Process:
    """Return an Envoy; its administration listens on the first of *listens*."""
    return Process(
        name=process,
        service=service,
        role=Role.PROXY,
        command=(
            plan.tool("envoy"),
            "--config-path",
            f"{plan.settings.mesh}/{workload}/bootstrap.json",
            "--concurrency",
            "1",
            "--disable-hot-restart",
            # As in Istio's proxies: a connection opened before a change serves its next call and is then closed.
            "--drain-strategy",
            "immediate",
            "--drain-time-s",
            "45",
            "--log-level",
            "warning",
            # Istio, and so the translator, uses a field that Envoy reports as deprecated at every update.
            "--component-log-level",
            "misc:error",
        ),
        listens=listens,
        check=HttpCheck(listens[0], "/ready"),
        after=frozenset({MESH_FILES}),
    )
