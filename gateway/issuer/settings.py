"""Settings of the development issuer, from environment variables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from runtime.settings import Address

Origin = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+$")]


def with_commas(text: object) -> object:
    """Split a variable's value at its commas."""
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


class IssuerSettings(BaseSettings):
    """Each field is the variable ISSUER_ followed by its name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_prefix="ISSUER_")

    state: Path
    """The folder of the key."""
    url: str = Field(default="http://issuer.shop.svc.cluster.local:8080", pattern=r"^https?://[^/\s]+$")
    """The issuer of the tokens, as in the RequestAuthentication."""
    listen: Address = "127.16.15.1:8080"
    """Where the public key is served."""
    origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(with_commas)] = ()
    """The edge's own origins, separated by commas: the only ones users are redirected to. None: no sign-in page."""
    token_s: int = Field(default=12 * 3600, ge=1, le=30 * 24 * 3600)
    """How long a sign-in on the page is valid."""


def load() -> IssuerSettings:
    """
    Read the settings, or exit with an error that names every invalid variable.
    """
    try:
        return IssuerSettings()  # type: ignore[call-arg]
    except ValidationError as error:
        lines = [f"  ISSUER_{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()]
        sys.exit("invalid settings:\n" + "\n".join(lines))
