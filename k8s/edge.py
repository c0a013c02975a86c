"""The edge as a client sees it: where it is, and one order through it."""

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

from k8s.kubectl import NAMESPACE, ClusterError, exists, get, kubectl

CALL_SECONDS = 15


def address() -> str:
    """
    The edge's address: EDGE if set, else what the cluster says; by TLS where there is nothing else, as in production.

    Raises `ClusterError` if the cluster gives it none.
    """
    return os.environ.get("EDGE", "").rstrip("/") or address_of("http", "https")


def address_of(*schemes: str) -> str:
    """
    Where the edge's `http` or `https` port is, the first it has: at its load balancer, else at a node's port.

    Raises `ClusterError` if the cluster gives it no address.
    """
    [service] = get("service", "edge") or [{}]
    spec, status = service.get("spec", {}), service.get("status", {})
    by_scheme = {port["name"]: port for port in spec.get("ports", [])}
    scheme = next((each for each in schemes if each in by_scheme), schemes[0])
    ports = [by_scheme[scheme]] if scheme in by_scheme else []
    for ingress in status.get("loadBalancer", {}).get("ingress", []):
        return f"{scheme}://{ingress.get('ip') or ingress['hostname']}:{ports[0]['port']}"
    if ports and "nodePort" in ports[0]:
        return f"{scheme}://{_node()}:{ports[0]['nodePort']}"
    raise ClusterError("the edge has no address yet; set EDGE to where it is reached")


def _node() -> str:
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    found = {each["type"]: each["address"] for node in nodes for each in node["status"]["addresses"]}
    return str(found.get("ExternalIP") or found["InternalIP"])


def token(customer: str = "deploy") -> str:
    """
    A customer's token: TOKEN if set, else one of the development issuer.

    Raises `ClusterError` if there is neither.
    """
    if os.environ.get("TOKEN"):
        return os.environ["TOKEN"]
    if not exists("statefulset", "issuer"):
        raise ClusterError("set TOKEN to a customer's token: the cluster has no development issuer")
    return issued(customer)


def issued(*who: str) -> str:
    """The development issuer's token for a name; `--operator` makes an operator."""
    return kubectl("exec", "-n", NAMESPACE, "issuer-0", "--", "python", "-m", "gateway.issuer.token", *who).strip()


def call(method: str, url: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """
    One call with JSON in and out; returns the status and the body.

    Raises `OSError` if no answer comes.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)  # noqa: S310 - the address is the operator's own
    request.add_header("content-type", "application/json")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:  # noqa: S310 - as above
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, _body(error)


def _body(error: urllib.error.HTTPError) -> dict[str, Any]:
    text = error.read().decode("utf-8", "replace")
    try:
        body: dict[str, Any] = json.loads(text)
    except ValueError:
        return {"message": text[:500]}
    return body


def place(edge: str, token: str, *, seconds: float = 60) -> dict[str, Any]:
    """
    Place an order for what is in stock and return it.

    The same request is repeated until it is taken, as its key allows; raises
    `ClusterError` with the last answer when the time is over.
    """
    key, deadline, said = str(uuid.uuid4()), time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            product = _in_stock(edge)
            basket = {"lines": [{"product": product, "quantity": 1}]}
            status, answer = call(
                "POST", f"{edge}/v1/orders", basket, idempotency_key=key, authorization=f"Bearer {token}"
            )
        except OSError as error:
            said = str(error)
        else:
            if status in (201, 202):
                return answer
            said = f"{status} {json.dumps(answer)}"
        time.sleep(1)
    raise ClusterError(f"{edge} takes no order: {said}")


def _in_stock(edge: str) -> str:
    status, answer = call("GET", f"{edge}/v1/products")
    stocked = [each for each in answer.get("products", []) if int(each["stock"]["available"]) > 0]
    if not stocked:
        raise OSError(f"no product is in stock: {status} {json.dumps(answer)[:300]}")
    return str(stocked[0]["name"])
