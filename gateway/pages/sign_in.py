"""Where customers sign in, as the pages in their browsers need to know it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Issuer:
    """
    An OpenID Connect issuer, and the public client that the pages are there.

    *discovery* is where its metadata is read if not below *url*; a path means this site.
    """

    url: str
    client_id: str
    scope: str
    discovery: str

    @property
    def public(self) -> dict[str, str]:
        """What the pages are told."""
        return {"issuer": self.url, "clientId": self.client_id, "scope": self.scope, "discovery": self.discovery}

    @property
    def origins(self) -> tuple[str, ...]:
        """The other hosts that pages must be able to call: the issuer's metadata, and its tokens beside it."""
        address = urlsplit(self.discovery or self.url)
        return (f"{address.scheme}://{address.netloc}",) if address.scheme else ()
