"""Faults in force on a cluster: what Kubernetes says of the VirtualServices in a namespace."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from gateway.pages.faults import Json, MeshUnknown, NoSuchFault, faults_of

# Where a pod finds its own account (kubernetes.io: "Accessing the Kubernetes API from a Pod").
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 2.0
LIMIT = 500


class ClusterFaults:
    """The VirtualServices of a namespace; *client* reaches the API server."""

    def __init__(self, client: httpx.AsyncClient, namespace: str, account: Path = ACCOUNT) -> None:
        self._client = client
        self._path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"
        self._account = account

    async def active(self) -> list[Json]:
        """
        Return the faults of every VirtualService that has one; `MeshUnknown` if Kubernetes does not say.
        """
        listed = await self._call("GET", self._path, params={"limit": str(LIMIT)})
        return [fault | {"file": "applied"} for service in listed.get("items", []) for fault in faults_of(service)]

    async def lift(self, name: str) -> None:
        """
        Take the faults out of VirtualService *name* and leave the rest of it; `NoSuchFault` if it has none.
        """
        found = await self._call("GET", f"{self._path}/{name}")
        changes = without_faults(found)
        if not changes:
            raise NoSuchFault(f"VirtualService {name} has no fault")
        kind = {"content-type": "application/json-patch+json"}
        await self._call("PATCH", f"{self._path}/{name}", json=changes, headers=kind)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        try:
            # Kubernetes renews the token in its file.
            token = (self._account / "token").read_text(encoding="utf-8").strip()
            signed = {"authorization": f"Bearer {token}", **(headers or {})}
            answer = await self._client.request(method, path, params=params, json=json, headers=signed)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise NoSuchFault("there is no such VirtualService")
            answer.raise_for_status()
            found: Json = answer.json()
        except (OSError, httpx.HTTPError, ValueError) as error:
            raise MeshUnknown(f"Kubernetes: {str(error) or type(error).__name__}") from error
        return found


def without_faults(service: Mapping[str, Any]) -> list[Json]:
    """
    The JSON Patch (RFC 6902) that removes every fault, if nobody has changed the resource meanwhile.
    """
    routes = service.get("spec", {}).get("http", [])
    faulty = [number for number, route in enumerate(routes) if route.get("fault")]
    if not faulty:
        return []
    seen = {"op": "test", "path": "/metadata/resourceVersion", "value": service["metadata"]["resourceVersion"]}
    return [seen, *({"op": "remove", "path": f"/spec/http/{number}/fault"} for number in faulty)]


def api_server() -> httpx.AsyncClient:
    """
    Return a client of the API server, found as every pod finds it.
    """
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    return httpx.AsyncClient(base_url=f"https://{authority}", verify=context, timeout=TIMEOUT_S, trust_env=False)
