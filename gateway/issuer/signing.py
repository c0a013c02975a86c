"""The development issuer's key and the tokens it signs; never for a system that others can reach."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
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
KEY, NEXT, PREVIOUS = "issuer.pem", "issuer-next.pem", "issuer-previous.pem"
"""The key that signs; one that is published before it signs; one whose tokens may not have expired yet."""


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
        """Return the public key as a JWK; its id is the thumbprint (RFC 7638), so a new key has a new id."""
        return _public(self.signing())

    def signing(self) -> EllipticCurvePrivateKey:
        """Return the key that signs now."""
        return self.key

    def published(self) -> list[dict[str, str]]:
        """Return every key whose tokens are accepted, as JWKs."""
        return [self.public]

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
        key = self.signing()
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": _public(key)["kid"]})


@dataclass(frozen=True)
class FolderSigner(Signer):
    """Signs with the key that *folder* has at that moment, so keys change while the issuer runs."""

    folder: Path

    def signing(self) -> EllipticCurvePrivateKey:
        """Return the key that signs now."""
        return key_in(self.folder)

    def published(self) -> list[dict[str, str]]:
        """Return the key that signs, and those that will or did; `UnusableKey` if one cannot be read."""
        others = [path for path in (self.folder / NEXT, self.folder / PREVIOUS) if path.exists()]
        return [self.public, *(_public(_read(path)) for path in others)]


def signer_in(folder: Path, issuer: str) -> FolderSigner:
    """
    Return what signs with the key stored in *folder*, generated at the first call.
    """
    return FolderSigner(key=key_in(folder), issuer=issuer, folder=folder)


def _public(key: EllipticCurvePrivateKey) -> dict[str, str]:
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    digest = Hash(SHA256())
    digest.update(json.dumps(members, sort_keys=True, separators=(",", ":")).encode())
    return members | {"kid": digest.finalize().hex()[:32], "alg": ALGORITHM, "use": "sig"}


def key_in(folder: Path) -> EllipticCurvePrivateKey:
    """
    Return the key stored in *folder*, generated at the first call; only its owner can read the file.
    """
    return _read(folder / KEY, missing=_make)


def next_key(folder: Path) -> EllipticCurvePrivateKey:
    """
    Return the key in *folder* that is published but does not sign yet, generated if there is none.
    """
    return _read(folder / NEXT, missing=_make)


def sign_with_next(folder: Path) -> None:
    """
    Sign with the next key; the previous one stays published, the one before that does not.
    """
    previous, draft = folder / PREVIOUS, folder / ".issuer.previous"
    draft.unlink(missing_ok=True)
    os.link(folder / KEY, draft)
    os.replace(draft, previous)
    # Its age is counted from now, when its last token is signed.
    os.utime(previous)
    # In between, the next key is published under both names, never under none.
    draft.unlink(missing_ok=True)
    os.link(folder / NEXT, draft)
    os.replace(draft, folder / KEY)
    (folder / NEXT).unlink()


def retire_previous(folder: Path, *, now: datetime) -> bool:
    """
    Remove the previous key from *folder* if each of its tokens has expired; return whether one is still published.
    """
    previous = folder / PREVIOUS
    if not previous.exists():
        return False
    if now - datetime.fromtimestamp(previous.stat().st_mtime, UTC) <= LONGEST:
        return True
    previous.unlink()
    return False


def _read(path: Path, *, missing: Callable[[Path], None] | None = None) -> EllipticCurvePrivateKey:
    try:
        if missing is not None and not path.exists():
            missing(path)
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
