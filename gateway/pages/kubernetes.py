"""A client of the Kubernetes API server that uses the pod's service account."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import Field

from runtime.errors import Unavailable

# Where a pod finds its service account (kubernetes.io: "Accessing the Kubernetes API from a Pod").
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 2.0
# The limit of a list; nothing here needs more than one application.
MAX_OBJECTS = 500
Json = dict[str, Any]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class KubernetesAway(Unavailable):
    """Kubernetes does not answer, or not with the expected result."""

    reason = "KUBERNETES_UNAVAILABLE"


class Kubernetes:
    """The API server; *client* reaches it, *account* is the folder of the token."""

    def __init__(self, client: httpx.AsyncClient, account: Path = ACCOUNT) -> None:
        self._client = client
        self._account = account

    async def items(self, path: str) -> list[Json]:
        """
        Return the objects of a collection, at most `MAX_OBJECTS`; raises `KubernetesAway` on an error.
        """
        try:
            # Kubernetes renews the token in its file.
            token = (self._account / "token").read_text(encoding="utf-8").strip()
            signed = {"authorization": f"Bearer {token}"}
            answer = await self._client.get(path, params={"limit": str(MAX_OBJECTS)}, headers=signed)
            answer.raise_for_status()
            items: list[Json] = answer.json().get("items", [])
        except (OSError, httpx.HTTPError, ValueError) as error:
            raise KubernetesAway(f"Kubernetes: {str(error) or type(error).__name__}") from error
        return items


def api_server() -> httpx.AsyncClient:
    """
    Return an HTTP client of the API server, at the address given to every pod.
    """
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    return httpx.AsyncClient(base_url=f"https://{authority}", verify=context, timeout=TIMEOUT_S, trust_env=False)
