"""Logs when the mesh starts to refuse calls, and when it stops: one line with the word BREAKER each."""

from __future__ import annotations

import time

import structlog
from prometheus_client import Gauge

from runtime.errors import Error, ResourceExhausted, Unavailable

OPEN = Gauge("orders_breaker_open", "1 while the mesh refuses calls to a service without sending them.", ["host"])
# Envoy's messages for calls that it did not send: no healthy host is left, or too many calls are pending.
REFUSALS = ("no healthy upstream", "overflow", "circuit breaker")
log = structlog.get_logger()


class Breaker:
    """The state of the sidecar's breaker for *host*, as seen by the service."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._opened_at: float | None = None
        OPEN.labels(host).set(0)

    def failed(self, error: Error) -> None:
        """
        Record a failed call; the first that the mesh itself rejected opens the breaker.
        """
        if self._opened_at is not None or not _refused_by_mesh(error):
            return
        self._opened_at = time.monotonic()
        OPEN.labels(self._host).set(1)
        log.warning("BREAKER open: the mesh refuses calls", host=self._host, reason=error.message)

    def answered(self) -> None:
        """
        Record a response, which closes the breaker.
        """
        if self._opened_at is None:
            return
        seconds = round(time.monotonic() - self._opened_at, 1)
        self._opened_at = None
        OPEN.labels(self._host).set(0)
        log.warning("BREAKER closed: calls are answered again", host=self._host, reason=f"open for {seconds} s")


def _refused_by_mesh(error: Error) -> bool:
    worded = any(words in error.message.lower() for words in REFUSALS)
    return isinstance(error, Unavailable | ResourceExhausted) and worded
