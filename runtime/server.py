"""The gRPC server of a service, from its start to the end of its draining."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

from runtime import background, loop_lag
from runtime.call_counts import count_from_zero
from runtime.interceptors import Interceptor, wrappers
from runtime.messaging.consumer import left_open, stuck_threads
from runtime.settings import ServiceSettings

Servicer = tuple[Callable[[Any, grpc.aio.Server], None], Any]
"""A generated `add_…Servicer_to_server` and the servicer."""
SILENCE_S = 0.5
"""Without a new call for this long, callers have noticed that the server is about to stop."""
MAX_READ_BYTES = 6 * 1024 * 1024
MAX_METADATA_BYTES = 64 * 1024
"""More than the edge and the sidecars let through, so that they answer what is too large."""
LIVE = "live"
"""The health service's name for the process itself: SERVING also while the service is not ready."""
log = structlog.get_logger()


class Server:
    """
    Serves *servicers*, and keeps the background *work* running, until SIGTERM.

    *services* are the full names of what is served; *listed* those that reflection lists, the same unless given. It
    starts as SERVING unless *ready* is False; `set_ready` changes that. Readiness must not depend on what all replicas
    share, or one failure there removes every replica at once. *on_drain* is called when draining begins, to end
    streams.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        domain: str,
        services: Sequence[str],
        servicers: Sequence[Servicer],
        work: Mapping[str, background.Work] | None = None,
        ready: bool = True,
        on_drain: Callable[[], None] | None = None,
        listed: Sequence[str] | None = None,
    ) -> None:
        self._settings = settings
        self._work = dict(work or {})
        self._on_drain = on_drain
        self._services = tuple(services)
        self._ready = ready
        self._health = health.aio.HealthServicer()
        self._interceptor = Interceptor(wrappers(settings, domain))
        self._server = grpc.aio.server(
            interceptors=[
                # Health checks every second are not traced.
                aio_server_interceptor(filter_=filters.negate(filters.health_check())),  # type: ignore[no-untyped-call]
                self._interceptor,
            ],
            options=_options(settings),
        )
        for add, servicer in servicers:
            add(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        count_from_zero(services)
        names = (*(services if listed is None else listed), health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def set_ready(self, ready: bool) -> None:
        """
        Report SERVING or NOT_SERVING from now on.
        """
        self._ready = ready
        answer = health_pb2.HealthCheckResponse
        for name in ("", *self._services):
            await self._health.set(name, answer.SERVING if ready else answer.NOT_SERVING)

    async def run(self) -> None:
        """
        Serve until SIGTERM or SIGINT, then drain.
        """
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self._server.add_insecure_port(self._settings.grpc_listen)
        await self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        await self.set_ready(self._ready)
        log.info("serving", address=self._settings.grpc_listen)
        running = [
            asyncio.create_task(background.keep_going(name, work), name=name) for name, work in self._work.items()
        ]
        await stop.wait()
        await self._drain()
        await background.end(running)

    async def _drain(self) -> None:
        await self._health.enter_graceful_shutdown()
        if self._on_drain is not None:
            self._on_drain()
        log.info("draining", wait_s=self._settings.drain_wait_s, limit_s=self._settings.drain_limit_s)
        await asyncio.sleep(self._settings.drain_wait_s)
        began = asyncio.get_running_loop().time()
        await self._await_silence(self._settings.drain_limit_s / 2)
        waited_s = asyncio.get_running_loop().time() - began
        await self._server.stop(self._settings.drain_limit_s - waited_s)
        log.info("drained")

    async def _await_silence(self, within_s: float) -> None:
        """
        Wait until no caller begins a call any more, at most *within_s*.

        gRPC responds CANCELLED to calls that arrive after its stop and before their caller has seen the GOAWAY, which
        callers do not retry. On a busy machine callers may notice only after `drain_wait_s`.
        """
        clock = asyncio.get_running_loop().time
        ends_at = clock() + within_s
        left = SILENCE_S
        while left > 0:
            left = min(self._interceptor.called_at + SILENCE_S, ends_at) - clock()
            await asyncio.sleep(max(0.0, left))


def _options(settings: ServiceSettings) -> list[tuple[str, int]]:
    return [
        # Above this gRPC itself rejects, with RESOURCE_EXHAUSTED, which callers would retry.
        ("grpc.max_receive_message_length", MAX_READ_BYTES),
        # The same: above it gRPC answers RESOURCE_EXHAUSTED, as if a retry could help.
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ]


def run(main: Callable[[], Awaitable[None]]) -> None:
    """
    Run *main* on uvloop, whose lag is measured; a second interrupt ends it hard.

    A crash in a native library (Kafka's, gRPC's) prints every thread's stack on standard error; without that the
    process would end silently.
    """
    faulthandler.enable()

    # What the imports made lives as long as the process. Each full collection would walk it, for 40 ms (measured).
    gc.collect()
    gc.freeze()

    async def started() -> None:
        with loop_lag.observed():
            await main()

    code = 1
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(started())
        code = 0
    finally:
        _end_stuck_consumers(code)


def _end_stuck_consumers(code: int) -> None:
    """
    End the process with *code* at once if a call into Kafka's library hangs, or a consumer could not be closed.

    Python would wait for its thread or its destructor forever, although all work is done, and the consumer would keep
    its partitions meanwhile.
    """
    if (stuck := stuck_threads(wait_s=1)) or left_open():
        log.error("consumers_stuck_at_exit", threads=stuck, groups=left_open(), exc_info=code != 0)
        sys.stdout.flush()
        os._exit(code)
