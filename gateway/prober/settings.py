"""Settings of the prober, from environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from runtime.settings import ProcessSettings

URL = r"^https?://[^/?#@\s]+$"


class Settings(ProcessSettings):
    """Each field is the variable of the same name in capitals."""

    shop_url: str = Field(pattern=URL)
    """The shop as customers reach it, without a path: the load balancer's address rather than the edge's own."""
    shop_ca_file: Path | None = None
    """The certificate authority of an https shop; the system's own unless given."""
    token_url: str = Field(pattern=r"^https?://[^?#@\s]+$")
    """The issuer's token endpoint (RFC 6749, section 4.4: client credentials)."""
    client_id: str = Field(default="order-prober", pattern=r"^[\x21-\x7e]{1,128}$")
    """The client that the issuer knows; its tokens' `sub` is the customer whose orders are placed and cancelled."""
    client_secret_file: Path | None = None
    """A file with the client's secret, read for each token; without such a file none is sent."""
    token_scope: str = Field(default="", max_length=1000)
    """The scope that the issuer wants for a token that the edge accepts."""
    token_audience: str = Field(default="", max_length=1000)
    """The `audience` that some issuers want; not sent if empty."""
    probe_interval_s: float = Field(default=10.0, ge=1, le=300)
    """From one order to the next, and the longest that one may take with its cancellation."""
    probe_timeout_s: float = Field(default=5.0, gt=0, le=300)
    """The longest that a call may take: what customers wait for."""
