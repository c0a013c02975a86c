"""The edge as a client sees it: its address, and one order through it."""

import json
import os
from typing import Any

from k8s.kubectl import NAMESPACE, ClusterError, exists, get, kubectl
from shop_client.plain import NoOrder, Plain, place_patiently

CALL_S = 15


def address() -> str:
    """
    Return the edge's address: EDGE if set, else what the cluster reports; with TLS where there is nothing else, as in
    production.

    Raises `ClusterError` if the cluster has none.
    """
    return os.environ.get("EDGE", "").rstrip("/") or address_of("http", "https")


def address_of(*schemes: str) -> str:
    """
    Return the address of the edge's `http` or `https` port, the first that exists: of its load balancer, else of a
    node port.

    Raises `ClusterError` if there is none.
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
    raise ClusterError("the edge has no address yet; set EDGE to its address")


def _node() -> str:
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    found = {each["type"]: each["address"] for node in nodes for each in node["status"]["addresses"]}
    return str(found.get("ExternalIP") or found["InternalIP"])


def token(customer: str = "deploy") -> str:
    """
    Return a customer's token: TOKEN if set, else one of the development issuer.

    Raises `ClusterError` if there is neither.
    """
    if os.environ.get("TOKEN"):
        return os.environ["TOKEN"]
    if not exists("statefulset", "issuer"):
        raise ClusterError("set TOKEN to a customer's token: the cluster has no development issuer")
    return issued(customer)


def issued(*who: str) -> str:
    """Return the development issuer's token for a name; `--operator` grants the operator's role."""
    return kubectl("exec", "-n", NAMESPACE, "issuer-0", "--", "python", "-m", "gateway.issuer.token", *who).strip()


def place(edge: str, token: str, *, seconds: float = 60, traceparent: str = "") -> dict[str, Any]:
    """
    Place an order for a product in stock and return it; *traceparent* (W3C) makes its calls part of that trace.

    Raises `ClusterError` with the last response if it is not accepted in time.
    """
    try:
        headers = {"traceparent": traceparent} if traceparent else {}
        client = Plain(edge, token, timeout_s=CALL_S, headers=headers)
        return place_patiently(client, within_s=seconds, every_s=1)
    except NoOrder as error:
        raise ClusterError(str(error)) from error
