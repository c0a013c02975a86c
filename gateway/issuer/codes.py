"""
Authorization codes of the development issuer: each is valid once, for a minute, for the client that requested it.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

LIFETIME_S = 60.0
MAX_CODES = 1000
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class TooManyCodes(Exception):
    """Too many codes are unused, so no more are issued."""


class UnusableCode(Exception):
    """The code is unknown, used, expired, or was issued to another client."""


@dataclass(frozen=True)
class Grant:
    """What a code was issued for; *challenge* is the SHA-256 of the verifier that only its owner knows (RFC 7636)."""

    redirect_uri: str
    challenge: str
    nonce: str
    customer: str
    operator: bool


class Codes:
    """The codes that were issued and not used yet; *clock* counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[float, Grant]] = {}

    def give(self, grant: Grant) -> str:
        """
        Return a new code for *grant*; raises `TooManyCodes`.
        """
        now = self._clock()
        self._waiting = {code: entry for code, entry in self._waiting.items() if entry[0] > now}
        if len(self._waiting) >= MAX_CODES:
            raise TooManyCodes(f"{MAX_CODES} codes are unused")
        code = secrets.token_urlsafe(32)
        self._waiting[code] = (now + LIFETIME_S, grant)
        return code

    def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Grant:
        """
        Return what *code* was issued for, and invalidate it; raises `UnusableCode`.
        """
        end, grant = self._waiting.pop(code, (0.0, None))
        if grant is None or end <= self._clock():
            raise UnusableCode("the code is unknown, used or expired")
        if grant.redirect_uri != redirect_uri:
            raise UnusableCode("the code was issued for another redirect_uri")
        if not VERIFIER.fullmatch(verifier) or not hmac.compare_digest(challenge_of(verifier), grant.challenge):
            raise UnusableCode("code_verifier does not match code_challenge")
        return grant


def challenge_of(verifier: str) -> str:
    """
    Return the S256 challenge of *verifier*.
    """
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


class Budget:
    """A token bucket: *per_second* calls a second on average, with bursts of *burst*."""

    def __init__(self, clock: Callable[[], float], *, per_second: float, burst: int) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._at = clock()

    def spend(self) -> bool:
        """
        Return whether another call is allowed now.
        """
        now = self._clock()
        self._left = min(float(self._burst), self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
