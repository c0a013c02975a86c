"""Page tokens (AIP-158): signed, and valid only for the list that issued them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from urllib.parse import unquote, urlsplit

from runtime.errors import FieldViolation, InvalidArgument

SIGNATURE_BYTES = 16
Keys = Callable[[], Sequence[bytes]]
"""Returns the signing key, followed by further keys whose tokens are accepted."""


class PageTokens:
    """
    The tokens of *method*'s pages, signed with the first of *keys*, which all replicas share.

    A position has *place_bytes* where lists have scopes: both are signed, without a separator.
    """

    def __init__(self, keys: Keys | bytes, *, method: str, place_bytes: int | None = None) -> None:
        self._keys: Keys = keys if callable(keys) else lambda: (keys,)
        self._method = method
        self._place_bytes = place_bytes

    def write(self, place: bytes, scope: str = "") -> str:
        """
        Return the token for what follows *place* in the list of *scope*, which identifies the caller and the list.
        """
        return base64.urlsafe_b64encode(place + self._sign(self._keys()[0], place, scope)).rstrip(b"=").decode()

    def read(self, token: str, scope: str = "") -> bytes:
        """
        Return the position in *token*; `InvalidArgument` unless it is of the list of *scope*.
        """
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise self._not_ours() from error
        place, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        fits = self._place_bytes in (None, len(place))
        signed = any(hmac.compare_digest(signature, self._sign(key, place, scope)) for key in self._keys())
        if not fits or not signed:
            raise self._not_ours()
        return place

    def _sign(self, key: bytes, place: bytes, scope: str) -> bytes:
        signed = place + (scope or self._method).encode()
        return hmac.new(key, signed, hashlib.sha256).digest()[:SIGNATURE_BYTES]

    def _not_ours(self) -> InvalidArgument:
        problem = f"is not a next_page_token of {self._method}"
        return InvalidArgument(
            f"page_token {problem}", reason="INVALID_PAGE_TOKEN", fields=[FieldViolation("page_token", problem)]
        )


def derived_key(url: str, purpose: bytes) -> bytes:
    """
    Return a key for *purpose* derived from the password in a store's *url*, so the same in every replica.
    """
    password = unquote(urlsplit(url).password or "")
    return hmac.new(password.encode(), purpose, hashlib.sha256).digest()
