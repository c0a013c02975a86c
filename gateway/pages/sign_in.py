"""The sign-in configuration for the pages in browsers."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Issuer:
    """
    An OpenID Connect issuer, and the pages' public client there.

    *discovery* is where its metadata is read if not below *url*; a path refers to this site.
    """

    url: str
    client_id: str
    scope: str
    discovery: str

    @property
    def public(self) -> dict[str, str]:
        """Return the configuration that is sent to the pages."""
        return {"issuer": self.url, "clientId": self.client_id, "scope": self.scope, "discovery": self.discovery}

    @property
    def origins(self) -> tuple[str, ...]:
        """
        Return the other origins that pages must be able to call: that of the issuer's metadata, and that of its token
        endpoint.
        """
        address = urlsplit(self.discovery or self.url)
        return (f"{address.scheme}://{address.netloc}",) if address.scheme else ()
