"""
Where everything is, printed after the start of a stack.
"""

from stack.commands.columns import table
from stack.topology import alertmanager, traces
from stack.topology.addresses import Host, Port
from stack.topology.plan import Plan


def summary(plan: Plan, seconds: float) -> str:
    """Return the addresses of the stack's parts, and two commands to go on with."""
    settings, network = plan.settings, plan.network
    members = " ".join(str(network.at(Host.POSTGRES, Port.POSTGRES, member)) for member in plan.members)
    rows = [
        ("Shop", f"{settings.edge_url}/  (sign in with {settings.command('-s token CUSTOMER=ana')})"),
        ("Operations board", f"{settings.edge_url}/ops  ({settings.command('-s token CUSTOMER=op OPERATOR=yes')})"),
        ("API (REST, gRPC)", f"{settings.edge_url}  ({settings.edge_url}/docs to try it)"),
        ("Edge (HTTPS)", f"https://localhost:{settings.tls_port}  (curl --cacert {settings.authority})"),
        ("Prometheus", f"http://{network.at(Host.PROMETHEUS, Port.PROMETHEUS)}"),
        *([("Traces", f"http://{traces.viewer_at(plan)}/zipkin/")] if settings.traces else []),
        *([("Alertmanager", f"http://{alertmanager.listens_at(plan)}")] if settings.alert_webhook else []),
        ("Kafka", plan.kafka_brokers.replace(",", " ")),
        ("PostgreSQL", f"{members} (database and user orders)"),
        ("Redis", str(network.at(Host.REDIS, Port.REDIS))),
        ("Passwords", f"{settings.secrets}/passwords.json"),
        ("Logs", f"{settings.log}  ({settings.command('logs SVC=orders')})"),
        ("Istio's files", f"{settings.checkout}/istio"),
    ]
    demo, status = settings.command("demo"), settings.command("status")
    return f"\nUp in {seconds:.0f} s. `{demo}` places an order, `{status}` shows every process.\n{table(rows)}"
