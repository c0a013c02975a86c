"""What the deployed accounts may do at the API server, and which pods reach which stores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from k8s.kubectl import NAMESPACE, get, kubectl
from tests.cluster import pods

Rights = Mapping[tuple[str, str], set[str]]
PATRONIS = ("config", "failover", "leader", "sync")
# Verbs by resource and name; "" is any name. An account that is not here may do nothing.
GRANTED: Mapping[str, Rights] = {
    "edge": {("secrets", ""): {"list"}},
    "pages": {("virtualservices.networking.istio.io", ""): {"list"}},
    "postgres": {
        ("configmaps", ""): {"create", "list", "watch"},
        **{("configmaps", f"shop-{name}"): {"get", "patch", "update"} for name in PATRONIS},
        ("pods", ""): {"get", "list", "watch"},
        **{("pods", f"postgres-{number}"): {"patch", "update"} for number in range(3)},
    },
    "prometheus": {("pods", ""): {"list"}},
}
# What Kubernetes lets every account ask about itself.
ITS_OWN = {
    "selfsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io",
    "selfsubjectreviews.authentication.k8s.io",
}
STORES = {"postgres": 5432, "redis": 6379, "kafka": 9092}
# The first bytes of a client, to which each store answers something: PostgreSQL's SSLRequest, Redis's PING, and Kafka's
# ApiVersions. A connection alone may be a sidecar's.
GREETINGS = {
    "postgres": "0000000804d2162f",
    "redis": b"PING\r\n".hex(),
    "kafka": "0000000a0012000000000001ffff",
}
REACHED = {"orders": {"postgres", "kafka"}, "inventory": {"redis", "kafka"}, "pages": set(), "postgres": {"postgres"}}
TALK = """
import socket, sys
host, port, greeting = sys.argv[1:]
try:
    with socket.create_connection((host, int(port)), timeout=3) as store:
        store.settimeout(3)
        store.sendall(bytes.fromhex(greeting))
        print("answered" if store.recv(1) else "closed")
except OSError as error:
    print("not reached:", error)
"""


def test_every_account_may_do_what_it_needs_and_no_more() -> None:
    accounts = {each["metadata"]["name"] for each in get("serviceaccounts")}
    assert set(GRANTED) - {"prometheus"} <= accounts
    found = {account: rights(account) for account in accounts}
    assert {account: each for account, each in found.items() if each} == {
        account: each for account, each in GRANTED.items() if account in accounts
    }


def rights(account: str) -> Rights:
    """Return what the API server says that an account may do in the namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": NAMESPACE},
    }
    # Validation would ask for the definitions of resources, as the account.
    whom = ("--validate=false", f"--as=system:serviceaccount:{NAMESPACE}:{account}")
    answer = kubectl("create", "-o", "json", "-f", "-", *whom, stdin=json.dumps(review))
    status: dict[str, Any] = json.loads(answer)["status"]
    assert not status.get("incomplete"), status
    found: dict[tuple[str, str], set[str]] = {}
    for rule in status["resourceRules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                name = f"{resource}.{group}" if group else resource
                if name not in ITS_OWN:
                    for only in rule.get("resourceNames") or ("",):
                        found.setdefault((name, only), set()).update(rule["verbs"])
    # Kubernetes' API is described to everybody, and says nothing else.
    paths = {
        path for rule in status["nonResourceRules"] for path in rule["nonResourceURLs"] if rule["verbs"] != ["get"]
    }
    assert not paths
    return found


@pytest.mark.parametrize("app", REACHED)
def test_a_pod_reaches_the_stores_that_it_needs(app: str) -> None:
    for store in REACHED[app]:
        assert talk(app, store) == "answered", store


def test_a_pod_reaches_no_other_store() -> None:
    others = [(app, store) for app, stores in REACHED.items() for store in STORES if store not in stores]
    reached = {(app, store) for app, store in others if talk(app, store) == "answered"}
    # Of these, traffic of orders and inventory to stores passes no sidecar, which might refuse it as well.
    by_policy = {(app, store) for app, store in others if app in ("orders", "inventory", "postgres")}
    if reached >= by_policy:
        pytest.skip("this cluster enforces no network policies")
    assert not reached


def talk(app: str, store: str) -> str:
    """Return whether *store* answers a pod of *app*."""
    pod, host = pods.of(app)[0], store if store == "redis" else f"{store}-0.{store}"
    return pods.run_in(pod, "python", "-c", TALK, host, str(STORES[store]), GREETINGS[store]).strip()
