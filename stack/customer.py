"""
Tokens of the stack's development issuer, for the commands that place orders.
"""

from datetime import UTC, datetime, timedelta

from gateway.issuer.settings import IssuerSettings
from gateway.issuer.signing import Signer, key_in
from stack.settings import Settings

LIFETIME = timedelta(hours=12)
Metadata = tuple[tuple[str, str], ...]


def token(settings: Settings, customer: str, *, operator: bool = False) -> str:
    """Return a token for *customer* that is valid for 12 hours, with the operator's role if asked for."""
    issuer = IssuerSettings(state=settings.secrets / "issuer")
    signer = Signer(key_in(issuer.state), issuer.url)
    return signer.token(customer, now=datetime.now(UTC), lifetime=LIFETIME, operator=operator)


def metadata(settings: Settings, customer: str, *, operator: bool = False) -> Metadata:
    """Return the metadata of a gRPC call through the edge as *customer*."""
    return (("authorization", f"Bearer {token(settings, customer, operator=operator)}"),)
