"""What the pages' server reads from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, HttpUrl
from pydantic_settings import NoDecode

from gateway.pages.kubernetes import Namespace
from gateway.pages.sign_in import Issuer
from runtime.settings import Address, ProcessSettings

BUILD = Path(__file__).resolve().parent.parent.parent / "build"


def _with_commas(text: object) -> object:
    return [part for part in text.split(",") if part] if isinstance(text, str) else text


def _by_name(text: object) -> object:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part) if isinstance(text, str) else text


class Settings(ProcessSettings):
    """Each field is the variable of the same name in capitals."""

    http_listen: Address = "127.0.0.1:8091"
    """Where pages are served, behind the sidecar."""
    pages_folder: Path = BUILD / "web"
    """The built pages, as `python -m gateway.pages.build` makes them."""
    openapi_file: Path = BUILD / "openapi.json"
    """The description of the API, as `python -m gateway.edge` makes it."""
    prometheus_url: HttpUrl = HttpUrl("http://127.0.0.1:9090")
    """Where the board's numbers come from."""
    prometheus_link: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Where a browser finds Prometheus; empty if it cannot."""
    traces_link: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """What a trace's id is put after to show it to a browser; empty if there is no viewer of traces."""
    runbooks_file: Path = BUILD.parent / "docs" / "runbooks.md"
    """The runbooks that the board shows beside alerts."""
    stores: Annotated[dict[str, Address], NoDecode, BeforeValidator(_by_name)] = {}  # noqa: RUF012 -- pydantic copies it
    """Stores that can be asked how they are: Kafka=HOST:PORT,Redis=HOST:PORT,etcd=HOST:PORT, any of them."""
    prometheus_timeout_s: float = Field(default=2.0, gt=0, le=30)
    """The most that the board waits for Prometheus."""
    inventory_address: Address = "127.0.0.1:15001"
    """This pod's sidecar, through which inventory is asked for the stock."""
    inventory_authority: str = "inventory.shop.svc.cluster.local:50051"
    """The service that the sidecar is asked for."""
    istio_folders: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_with_commas)] = ()
    """Folders whose VirtualServices are in force on one machine, with commas between."""
    applied_folder: Path | None = None
    """Where on one machine the resources are that were applied beside the folders."""
    kubernetes_service_host: str | None = None
    """Set by Kubernetes in every pod: then it is asked for the VirtualServices."""
    namespace: Namespace = "shop"
    """Where faults are looked for on a cluster."""
    oidc_issuer: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Who signs customers' tokens (OpenID Connect), as they name it; none: tokens can only be pasted."""
    oidc_client_id: str = "shop-pages"
    """The public client that the pages are there; its redirect address is `/signed-in` on the edge."""
    oidc_scope: str = "openid"
    """What the pages ask the issuer for; the access token must be one that the edge accepts."""
    oidc_discovery: str = Field(default="", pattern=r"^((https?:/)?/\S+)?$")
    """Where browsers read the issuer's metadata, if not below `oidc_issuer`; a path means the edge's own origin."""
    operators_only: bool = True
    """Whether the board is for those whom the edge has recognised as operators."""
    stop_limit_s: int = Field(default=10, ge=0, le=300)
    """What requests in flight get to finish."""

    @property
    def issuer(self) -> Issuer | None:
        """Where customers sign in, if anywhere."""
        if not self.oidc_issuer:
            return None
        return Issuer(self.oidc_issuer, self.oidc_client_id, self.oidc_scope, self.oidc_discovery)
