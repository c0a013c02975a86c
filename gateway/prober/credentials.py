"""The prober's token: fetched from the issuer as a program's is (RFC 6749, section 4.4), and kept for half its life."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from gateway.prober.calls import Calls, NotSignedIn, Unanswered

# What may stand behind `Bearer` (RFC 6750, section 2.1).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
LONGEST_S = 3600.0
SHORTEST_S = 1.0


class Credentials:
    """Gets tokens at *url* with the form *fields*; *secret* returns the client's secret, empty if there is none."""

    def __init__(
        self,
        calls: Calls,
        url: str,
        fields: Mapping[str, str],
        secret: Callable[[], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._url = url
        self._fields = {"grant_type": "client_credentials", **fields}
        self._secret = secret
        self._clock = clock
        self._token = ""
        self._until = 0.0

    async def token(self) -> str:
        """
        Return a token that is valid for a while yet; raises `NotSignedIn` if the issuer gives none.
        """
        if not self._token or self._clock() >= self._until:
            try:
                self._token, lifetime_s = await self._fetch()
            except Unanswered as error:
                raise NotSignedIn(error.reason) from error
            self._until = self._clock() + min(max(lifetime_s / 2, SHORTEST_S), LONGEST_S)
        return self._token

    async def _fetch(self) -> tuple[str, float]:
        try:
            secret = self._secret()
        except ValueError as error:
            raise Unanswered("no_secret") from error
        answer = await self._calls.post(self._url, data=self._fields | ({"client_secret": secret} if secret else {}))
        if answer.status_code != HTTPStatus.OK:
            raise Unanswered(str(answer.status_code))
        grant = answer.json()
        token, lifetime_s = grant.get("access_token"), grant.get("expires_in", 0)
        if not isinstance(token, str) or not TOKEN.fullmatch(token) or not isinstance(lifetime_s, int | float):
            raise Unanswered("unreadable")
        return token, lifetime_s

    def forget(self) -> None:
        """
        Get a new token for the next call: the shop has refused this one.
        """
        self._token = ""
