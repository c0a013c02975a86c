"""Settings of the development issuer, from the environment."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.settings import Address


class IssuerSettings(BaseSettings):
    """Each field is the variable ISSUER_ and its name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="ISSUER_")

    state: Path
    """The folder with the key."""
    url: str = Field(default="http://issuer.shop.svc.cluster.local:8080", pattern=r"^https?://[^/\s]+$")
    """Who the tokens are from, as the RequestAuthentication names it."""
    listen: Address = "127.16.15.1:8080"
    """Where the public key is served."""


def load() -> IssuerSettings:
    """
    Read the settings, or end the program naming every wrong variable.
    """
    try:
        return IssuerSettings()  # type: ignore[call-arg]
    except ValidationError as error:
        lines = [f"  ISSUER_{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()]
        sys.exit("wrong settings:\n" + "\n".join(lines))
