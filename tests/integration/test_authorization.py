"""
Every method of every service, for every kind of caller: who is admitted.

The rows are the contract's methods, so that a new one without a row fails. An admitted call is recognized by a message
that no method can parse: the service itself rejects it, and nothing happens.
"""

import shutil
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from chaos.hostile.malformed import SERVICES, call
from chaos.hostile.wire import exchange
from gateway.edge.filters import HEALTH, REFLECTION
from stack import customer
from stack.topology.addresses import Host, Port
from translator.control.certificates import WORKLOAD_LIFETIME, issue_certificates
from translator.model.registry_file import load_registry

AGO = WORKLOAD_LIFETIME + timedelta(minutes=1)
UNREADABLE = b"\xff"
OUTSIDE = {"nobody", "customer", "operator"}
MESH = {"edge", "orders", "inventory", "pages"}
# Without a certificate of the mesh no call is even read.
NO_ONE = {"no certificate", "expired certificate", "foreign authority", "plain text"}
SIGNED_IN = {"customer", "operator"}

ORDER = SIGNED_IN | {"edge"}
OPERATION = {"operator", "edge"}
REBUILD = {"inventory"}
HOLD = {"orders"}
ALLOWED = {
    "shop.orders.v1.OrderService": {
        "CreateOrder": ORDER,
        "GetOrder": ORDER,
        "ListOrders": ORDER,
        "CancelOrder": ORDER,
        "FulfilOrder": OPERATION,
        "BatchCreateOrders": ORDER,
        "WatchOrder": ORDER,
    },
    "shop.orders.v1.OperationsService": {
        "GetBacklog": OPERATION,
        "GetOrderTimeline": OPERATION,
        "RedriveDeadLetters": OPERATION,
        "ReconcileOrders": OPERATION,
        "ExportCustomer": OPERATION,
        "EraseCustomer": OPERATION,
    },
    "shop.orders.v1.AllocationService": {
        "StartGeneration": REBUILD,
        "GetGeneration": REBUILD,
        "CheckAllocations": REBUILD,
    },
    "shop.inventory.v1.InventoryService": {
        "HoldStock": HOLD,
        "BatchHoldStock": HOLD,
        "CommitHold": HOLD,
        "ReleaseHold": HOLD,
        "BatchGetHolds": HOLD,
        "ListHolds": HOLD,
        "RebuildStock": HOLD,
        "GetProduct": OUTSIDE | {"edge", "orders"},
        "ListProducts": OUTSIDE | {"edge", "orders", "pages"},
        "Restock": OPERATION,
    },
    "grpc.health.v1.Health": {"Check": SIGNED_IN | {"nobody", "edge"}, "List": set(), "Watch": set()},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": OUTSIDE | {"edge"}},
    # The edge has the services answer it under the older name.
    "grpc.reflection.v1.ServerReflection": {"ServerReflectionInfo": OUTSIDE},
}
DESCRIBED = (
    *SERVICES,
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
)
METHODS = sorted(
    {(service.full_name, method.name) for service in DESCRIBED for method in service.methods}
    # What the edge serves beside the contract.
    | {tuple(path.removeprefix("/").split("/")) for path in (HEALTH, *REFLECTION)}
)
# How a response shows whether the call was admitted; anything else is an error.
IN = {"grpc 3", "grpc 0"}
OUT = {"grpc 7", "grpc 16", "grpc 12", "http 401", "http 403", "http 404", "refused", "closed"}


def context(folder=None):
    """Return a sidecar's TLS context with the certificate in *folder*; the server is not verified."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["h2"])
    if folder is not None:
        made.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return made


@pytest.fixture(scope="module")
def contexts(stack, tmp_path_factory):
    """Return how each caller of the mesh connects."""
    accounts = stack.settings.secrets / "certificates/ns/shop/sa"
    foreign, expired = tmp_path_factory.mktemp("foreign"), tmp_path_factory.mktemp("expired")
    shutil.copytree(stack.settings.secrets / "certificates/root", expired / "root")
    issue_certificates(load_registry(stack.settings.conf / "registry.yaml"), expired, now=datetime.now(UTC) - AGO)
    options = [f"--registry={stack.settings.conf}/registry.yaml", f"--out={foreign}"]
    subprocess.run([sys.executable, "-m", "translator", "certificates", *options], check=True, timeout=30)
    return {
        **{name: context(accounts / name / "current") for name in MESH},
        "no certificate": context(),
        # The edge may call most methods: with the same authority, by the same name, a day ago.
        "expired certificate": context(expired / "ns/shop/sa/edge/current"),
        "foreign authority": context(foreign / "ns/shop/sa/edge/current"),
        "plain text": None,
    }


def wanted(service, method):
    message = UNREADABLE if service.startswith("shop.") else b""
    return f"/{service}/{method}", message


async def from_outside(stack, caller, service, method):
    path, message = wanted(service, method)
    bearer = ()
    if caller != "nobody":
        token = customer.token(stack.settings, "matrix", operator=caller == "operator")
        bearer = ((b"authorization", f"Bearer {token}".encode()),)
    return await exchange(("127.0.0.1", stack.settings.port), call(path, message, *bearer), limit_s=10)


async def from_the_mesh(stack, contexts, caller, service, method):
    path, message = wanted(service, method)
    home = Host.INVENTORY if "inventory" in service else Host.ORDERS
    at = stack.network.at(home, Port.SERVICE)
    # Who may write identity headers may impersonate anybody: only the edge.
    forged = ((b"x-customer-id", b"matrix"), (b"x-operator", b"true"))
    return await exchange((at.address, at.port), call(path, message, *forged), limit_s=10, tls=contexts[caller])


def test_every_method_of_the_contract_has_a_row():
    assert {(service, method) for service, methods in ALLOWED.items() for method in methods} == set(METHODS)


@pytest.mark.parametrize(("service", "method"), METHODS)
async def test_a_method_admits_exactly_its_callers(stack, contexts, service, method):
    answers = {caller: await from_outside(stack, caller, service, method) for caller in sorted(OUTSIDE)}
    for caller in sorted(MESH | NO_ONE):
        answers[caller] = await from_the_mesh(stack, contexts, caller, service, method)
    assert set(answers.values()) <= IN | OUT, answers
    assert {caller for caller, answer in answers.items() if answer in IN} == ALLOWED[service][method], answers
