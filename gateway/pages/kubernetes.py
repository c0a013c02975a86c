"""Asks Kubernetes' API server as the pod's own account, with what every pod is given for that."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import Field

from runtime.errors import NotFound, Unavailable

# Where a pod finds its own account (kubernetes.io: "Accessing the Kubernetes API from a Pod").
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 2.0
# Of a list; nothing here looks at more than one application.
LIMIT = 500
Json = dict[str, Any]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class KubernetesAway(Unavailable):
    """Kubernetes does not answer, or not with what was asked for."""

    reason = "KUBERNETES_UNAVAILABLE"


class NoSuchObject(NotFound):
    """Kubernetes has no such object."""

    reason = "NO_SUCH_OBJECT"


class Kubernetes:
    """The API server; *client* reaches it, *account* is the folder with the token."""

    def __init__(self, client: httpx.AsyncClient, account: Path = ACCOUNT) -> None:
        self._client = client
        self._account = account

    async def items(self, path: str) -> list[Json]:
        """
        Return the objects of a collection, at most `LIMIT`; `KubernetesAway` if it does not say.
        """
        listed = await self.call("GET", path, params={"limit": str(LIMIT)})
        items: list[Json] = listed.get("items", [])
        return items

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """
        Return the answer's body; `NoSuchObject` or `KubernetesAway` if there is none.
        """
        try:
            # Kubernetes renews the token in its file.
            token = (self._account / "token").read_text(encoding="utf-8").strip()
            signed = {"authorization": f"Bearer {token}", **(headers or {})}
            answer = await self._client.request(method, path, params=params, json=json, headers=signed)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise NoSuchObject(f"Kubernetes has no {path}")
            answer.raise_for_status()
            found: Json = answer.json()
        except (OSError, httpx.HTTPError, ValueError) as error:
            raise KubernetesAway(f"Kubernetes: {str(error) or type(error).__name__}") from error
        return found


def api_server() -> httpx.AsyncClient:
    """
    Return a client of the API server, found as every pod finds it.
    """
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    return httpx.AsyncClient(base_url=f"https://{authority}", verify=context, timeout=TIMEOUT_S, trust_env=False)
