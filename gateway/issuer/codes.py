"""Authorization codes of the development issuer: each is good once, for a minute, for who asked for it."""

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
    """So many codes wait to be used that no more are given out."""


class UnusableCode(Exception):
    """The code was never given out, is used or too old, or is somebody else's."""


@dataclass(frozen=True)
class Grant:
    """What a code stands for; *challenge* is the SHA-256 of the verifier that only its owner knows (RFC 7636)."""

    redirect_uri: str
    challenge: str
    nonce: str
    customer: str
    operator: bool


class Codes:
    """The codes that were given out and not used yet; *clock* counts seconds."""

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
            raise TooManyCodes(f"{MAX_CODES} codes wait to be used")
        code = secrets.token_urlsafe(32)
        self._waiting[code] = (now + LIFETIME_S, grant)
        return code

    def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Grant:
        """
        Return what *code* stands for, which no try finds again; raises `UnusableCode`.
        """
        end, grant = self._waiting.pop(code, (0.0, None))
        if grant is None or end <= self._clock():
            raise UnusableCode("the code is unknown, used or too old")
        if grant.redirect_uri != redirect_uri:
            raise UnusableCode("the code was given for another redirect_uri")
        if not VERIFIER.fullmatch(verifier) or not hmac.compare_digest(challenge_of(verifier), grant.challenge):
            raise UnusableCode("code_verifier does not fit code_challenge")
        return grant


def challenge_of(verifier: str) -> str:
    """
    Return the S256 challenge of *verifier*.
    """
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


class Budget:
    """At most *per_second* calls a second in the long run, and *burst* at once."""

    def __init__(self, clock: Callable[[], float], *, per_second: float, burst: int) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._at = clock()

    def spend(self) -> bool:
        """
        Return whether one more call may be made now.
        """
        now = self._clock()
        self._left = min(float(self._burst), self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
