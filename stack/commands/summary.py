"""
What is where, for a person who has just started a stack.
"""

from stack.commands.columns import table
from stack.topology.addresses import Host, Port
from stack.topology.plan import REPLICAS, Plan


def summary(plan: Plan, seconds: float) -> str:
    """The addresses of everything that a person may want to reach."""
    settings, network = plan.settings, plan.network
    members = " ".join(str(network.at(Host.POSTGRES, Port.POSTGRES, replica)) for replica in REPLICAS)
    rows = [
        ("Shop", f"{settings.edge_url}/  (sign in with make -s token CUSTOMER=ana)"),
        ("Operations board", f"{settings.edge_url}/ops  (make -s token CUSTOMER=op OPERATOR=yes)"),
        ("API (REST, gRPC)", f"{settings.edge_url}  ({settings.edge_url}/docs to try it)"),
        ("Edge (HTTPS)", f"https://localhost:{settings.tls_port}  (curl --cacert {settings.authority})"),
        ("Prometheus", f"http://{network.at(Host.PROMETHEUS, Port.PROMETHEUS)}"),
        ("Kafka", plan.kafka_brokers),
        ("PostgreSQL", f"{members} (database and user orders)"),
        ("Redis", str(network.at(Host.REDIS, Port.REDIS))),
        ("Passwords", f"{settings.secrets}/passwords.json"),
        ("Logs", f"{settings.log}  (make logs SVC=orders)"),
        ("Istio's files", f"{settings.checkout}/istio"),
    ]
    return f"\nUp in {seconds:.0f} s. `make demo` places an order, `make status` shows every process.\n{table(rows)}"
