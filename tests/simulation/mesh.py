"""
Calls between the services, as the mesh carries them.

A call goes to one of the replicas that are ready; where a connection is lost it is sent once more, to any of them,
whether or not the first was worked on. Requests and answers are late, lost, and met again in another order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from runtime import deadline, errors, status
from tests.simulation.loop import PROCESS, Process
from tests.simulation.network import Network

ATTEMPTS = 2
Handler = Callable[[Any], Awaitable[Any]]


class Reset(Exception):
    """The connection to a replica was lost, or there is none."""


class Mesh:
    """Knows the replicas of each service, by the process that each is now."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self.network = network
        self._rng = rng
        self._replicas: dict[str, dict[Process, Any]] = {}

    def register(self, service: str, process: Process, servicer: Any) -> None:
        """
        Have calls to *service* go to *servicer* too, as long as *process* lives.
        """
        self._replicas.setdefault(service, {})[process] = servicer

    def withdraw(self, service: str, process: Process) -> None:
        """
        Send no calls there any more.
        """
        self._replicas.get(service, {}).pop(process, None)

    async def call(self, service: str, work: Handler, *, limit_s: float) -> Any:
        """
        Return what *work* returns of a replica's servicer, or raise what it raises; `Unavailable` from the mesh itself.
        """
        caller = PROCESS.get()
        source = caller.name if caller is not None else "client"
        try:
            async with asyncio.timeout(limit_s):
                for attempt in range(ATTEMPTS):
                    try:
                        return await self._once(source, service, work, limit_s)
                    except Reset as error:
                        if attempt == ATTEMPTS - 1:
                            raise errors.Unavailable(str(error)) from error
                        await asyncio.sleep(0.025 * self._rng.random())
        except TimeoutError as error:
            raise errors.DeadlineExceeded("upstream request timeout") from error

    async def _once(self, source: str, service: str, work: Handler, limit_s: float) -> Any:
        replicas = [process for process in self._replicas.get(service, {}) if process.alive]
        if not replicas:
            await asyncio.sleep(self.network.delay_s())
            raise Reset("no healthy upstream")
        target = self._rng.choice(replicas)
        servicer = self._replicas[service][target]
        done = asyncio.get_running_loop().create_future()

        def lost() -> None:
            if not done.done():
                done.set_exception(Reset("upstream connect error or disconnect/reset before headers"))

        target.on_death.append(lost)
        running = target.start(self._serve(source, target, lambda: work(servicer), limit_s, done), name="call")
        if self.network.reset():
            asyncio.get_running_loop().call_later(self._rng.random() * 0.01, lost)
        try:
            return await done
        finally:
            if lost in target.on_death:
                target.on_death.remove(lost)
            if target.alive and not running.done():
                running.cancel()

    async def _serve(
        self,
        source: str,
        target: Process,
        work: Callable[[], Awaitable[Any]],
        limit_s: float,
        done: asyncio.Future[Any],
    ) -> None:
        result: Any = None
        error: BaseException | None = None
        await self.network.travel(source, target.name)
        try:
            async with asyncio.timeout(limit_s):
                with deadline.ends_in(limit_s):
                    result = await work()
        except Exception as raised:
            error = raised
        await self.network.travel(target.name, source)
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)


class Channel:
    """A gRPC channel to *service* for the real stubs; its errors are gRPC's."""

    def __init__(self, mesh: Mesh, service: str, domain: str) -> None:
        self._mesh = mesh
        self._service = service
        self._domain = domain

    def unary_unary(self, path: str, *_: Any, **__: Any) -> Any:
        """
        Return what calls the method at *path*.
        """
        method = path.rpartition("/")[2]

        async def call(request: Any, *, timeout: float) -> Any:  # noqa: ASYNC109 - gRPC's own parameter
            try:
                return await self._mesh.call(
                    self._service, lambda servicer: getattr(servicer, method)(request, None), limit_s=timeout
                )
            except errors.Error as error:
                raise _rpc_error(error, self._domain) from error

        return call


def _rpc_error(error: errors.Error, domain: str) -> grpc.aio.AioRpcError:
    details = status.to_status(error, domain).SerializeToString()
    trailing = grpc.aio.Metadata((status.DETAILS_KEY, details))
    return grpc.aio.AioRpcError(status.code_of(error), grpc.aio.Metadata(), trailing, error.message)
