"""
Tokens of the stack's own development issuer, for the commands that buy something.
"""

from datetime import UTC, datetime, timedelta

from gateway.issuer.settings import IssuerSettings
from gateway.issuer.signing import Signer, key_in
from stack.settings import Settings

LIFETIME = timedelta(hours=12)
Metadata = tuple[tuple[str, str], ...]


def token(settings: Settings, customer: str, *, operator: bool = False) -> str:
    """A token that makes its bearer *customer* for 12 hours, and an operator of the shop if asked for."""
    issuer = IssuerSettings(state=settings.secrets / "issuer")
    signer = Signer(key_in(issuer.state), issuer.url)
    return signer.token(customer, now=datetime.now(UTC), lifetime=LIFETIME, operator=operator)


def metadata(settings: Settings, customer: str, *, operator: bool = False) -> Metadata:
    """What a gRPC call through the edge carries, so that it is *customer*'s."""
    return (("authorization", f"Bearer {token(settings, customer, operator=operator)}"),)
