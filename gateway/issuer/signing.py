"""The development issuer's key and the tokens it signs; never for a system that others can reach."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

ALGORITHM = "ES256"
AUDIENCE = "shop"
CUSTOMER = re.compile(r"[A-Za-z0-9._@|-]{1,128}")
LONGEST = timedelta(days=30)


class UnusableKey(Exception):
    """The key file cannot be read or created, or has no key of the right kind."""


class InvalidCustomer(Exception):
    """A customer's id has characters that the services reject."""


@dataclass(frozen=True)
class Signer:
    """Signs tokens in the name of *issuer*."""

    key: EllipticCurvePrivateKey
    issuer: str

    @property
    def public(self) -> dict[str, str]:
        """The public key as a JWK; its id is the thumbprint (RFC 7638), so a new key has a new id."""
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
        digest = Hash(SHA256())
        digest.update(json.dumps(members, sort_keys=True, separators=(",", ":")).encode())
        return members | {"kid": digest.finalize().hex()[:32], "alg": ALGORITHM, "use": "sig"}

    def token(self, customer: str, *, now: datetime, lifetime: timedelta, operator: bool = False) -> str:
        """
        Return a token for *customer*, with the operator's role if asked for.
        """
        role = {"operator": True} if operator else {}
        return self._signed(customer, AUDIENCE, now=now, lifetime=lifetime, further=role)

    def identity(self, customer: str, *, client: str, nonce: str, now: datetime, lifetime: timedelta) -> str:
        """
        Return an ID token (OpenID Connect Core 1.0), which tells *client* who has signed in, and grants no access.
        """
        further = {"nonce": nonce} if nonce else {}
        return self._signed(customer, client, now=now, lifetime=lifetime, further=further)

    def _signed(
        self, customer: str, audience: str, *, now: datetime, lifetime: timedelta, further: Mapping[str, object]
    ) -> str:
        if not CUSTOMER.fullmatch(customer):
            raise InvalidCustomer(
                f"{customer!r} is not a valid customer id: 1 to 128 characters of A-Z a-z 0-9 . _ @ | -"
            )
        issued = now.astimezone(UTC)
        claims: dict[str, Any] = {"iss": self.issuer, "aud": audience, "sub": customer, "iat": issued, **further}
        claims["exp"] = issued + min(lifetime, LONGEST)
        return jwt.encode(claims, self.key, algorithm=ALGORITHM, headers={"kid": self.public["kid"]})


def key_in(folder: Path) -> EllipticCurvePrivateKey:
    """
    Return the key stored in *folder*, generated at the first call; only its owner can read the file.
    """
    path = folder / "issuer.pem"
    try:
        if not path.exists():
            _make(path)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise UnusableKey(f"{path}: {error}") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise UnusableKey(f"{path}: not an elliptic curve key")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    number, draft = tempfile.mkstemp(dir=path.parent, prefix=".issuer.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(pem)
        # Two processes that start at the same time must use one key: the first link wins.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)
