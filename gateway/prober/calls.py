"""Calls to the shop and to the issuer, each with a limit on its time and on what it reads."""

from __future__ import annotations

import asyncio
import json as encoding
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

MAX_READ_BYTES = 1024 * 1024
Token = Callable[[], Awaitable[str]]


class Unanswered(Exception):
    """A call had no usable answer; *reason* says why in one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotSignedIn(Unanswered):
    """The issuer gave no token."""


@dataclass(frozen=True)
class Answer:
    """A status and the start of a body."""

    status_code: int
    body: bytes = b""

    def json(self) -> Any:
        """
        Return the body; raises `Unanswered` if it is no JSON object.
        """
        try:
            found = encoding.loads(self.body or b"{}")
        except ValueError as error:
            raise Unanswered("unreadable") from error
        if not isinstance(found, dict):
            raise Unanswered("unreadable")
        return found


@dataclass(frozen=True)
class Calls:
    """Calls one server; as the bearer of *token*, if there is one. Each call raises `Unanswered` after *timeout_s*."""

    client: httpx.AsyncClient
    timeout_s: float
    token: Token | None = None

    async def get(self, url: str) -> Answer:
        """
        GET what is there.
        """
        return await self._call("GET", url)

    async def post(
        self,
        url: str,
        *,
        json: Any = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """
        POST *json*, or the form *data*.
        """
        return await self._call("POST", url, json=json, data=data, headers=headers)

    async def _call(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> Answer:
        signed = {"authorization": f"Bearer {await self.token()}"} if self.token else {}
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                self.client.stream(method, url, headers={**(headers or {}), **signed}, **body) as answer,
            ):
                return Answer(answer.status_code, await _read(answer))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unanswered("timeout") from error
        except httpx.ConnectError as error:
            raise Unanswered("not_connected") from error
        except httpx.HTTPError as error:
            raise Unanswered("connection_lost") from error


async def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > MAX_READ_BYTES:
            raise Unanswered("too_large")
    return bytes(body)
