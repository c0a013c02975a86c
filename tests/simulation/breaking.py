"""Breaks and mends parts of a world, as its plan has it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation import kafka
from tests.simulation.plan import Fault
from tests.simulation.replicas import INVENTORY, ORDERS

if TYPE_CHECKING:
    from tests.simulation.world import World

MAX_SKEW_S = 0.8
STORES = ("postgres", "redis", "kafka")


class Breaking:
    """What is broken now, by how often; each is mended once for each time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cut: list[tuple[str, str]] = []
        self._dead: set[str] = set()
        self._stopped: dict[str, int] = {}

    async def happen(self, fault: Fault) -> None:
        """
        Wait for the time of *fault*, break, wait, and mend.
        """
        await asyncio.sleep(fault.at - asyncio.get_running_loop().time())
        self._world.trace.note("FAULT", f"{fault.kind} {fault.target} {fault.other} for {fault.seconds:.1f} s")
        if fault.kind == "cut":
            await self._cut_for(fault)
        elif fault.kind in ("stop", "empty"):
            await self._stop_for(fault)
        elif fault.kind == "kill":
            await self._kill_for(fault)
        elif fault.kind == "freeze":
            await self._freeze_for(fault)
        else:
            self._skew(fault.target)

    async def _freeze_for(self, fault: Fault) -> None:
        process = self._world.processes[fault.target]
        process.freeze()
        self._forget_members(fault.target, lambda: process.alive and process.held is not None)
        await asyncio.sleep(fault.seconds)
        process.thaw()

    async def _cut_for(self, fault: Fault) -> None:
        target, _, back = fault.other.partition(" ")
        links = [(fault.target, target), *([(target, fault.target)] if back else [])]
        for link in links:
            self._world.network.cut(*link)
            self._cut.append(link)
        if kafka.HOST in (fault.target, target):
            host = fault.target if target == kafka.HOST else target
            self._forget_members(host, lambda: self._world.network.is_cut(*links[0]))
        await asyncio.sleep(fault.seconds)
        for link in links:
            self._heal(link)

    def _forget_members(self, host: str, silent: Callable[[], bool]) -> None:
        """
        Have the groups' coordinator expel the members on *host*, if they are still *silent* when their sessions end.
        """

        def expel() -> None:
            if silent():
                self._world.kafka.expel_host(host)

        asyncio.get_running_loop().call_later(kafka.SESSION_S, expel, context=contextvars.Context())

    def _heal(self, link: tuple[str, str]) -> None:
        self._cut.remove(link)
        self._world.network.heal(*link)
        self._world.kafka.notify()

    async def _kill_for(self, fault: Fault) -> None:
        self._kill(fault.target)
        await asyncio.sleep(fault.seconds)
        self._revive(fault.target)

    def _kill(self, name: str) -> None:
        if name not in self._dead:
            self._dead.add(name)
            process = self._world.processes[name]
            for service in (ORDERS, INVENTORY, "allocations", "restock"):
                self._world.mesh.withdraw(service, process)
            process.die()

    def _revive(self, name: str) -> None:
        if name in self._dead:
            self._dead.remove(name)
            self._world.start(name)

    async def _stop_for(self, fault: Fault) -> None:
        self._stop(fault.target)
        if fault.kind == "empty":
            self._world.redis.forget()
        await asyncio.sleep(fault.seconds)
        self._start(fault.target)

    def _stop(self, store: str) -> None:
        self._stopped[store] = self._stopped.get(store, 0) + 1
        if self._stopped[store] == 1:
            if store == "postgres":
                self._world.postgres.crash()
            elif store == "redis":
                self._world.redis.stop()
            else:
                self._world.kafka.stop()

    def _start(self, store: str) -> None:
        self._stopped[store] -= 1
        if self._stopped[store] == 0:
            if store == "postgres":
                self._world.postgres.restart()
            elif store == "redis":
                self._world.redis.start()
            else:
                self._world.kafka.start()

    def _skew(self, name: str) -> None:
        stores = {"postgres": self._world.postgres.process, "redis": self._world.redis.process}
        process = stores.get(name) or self._world.processes[name]
        process.skew_s = self._world.rng.uniform(-MAX_SKEW_S, MAX_SKEW_S)

    def mend_all(self) -> None:
        """
        Put everything right that is still broken.
        """
        for link in list(self._cut):
            self._heal(link)
        for name in sorted(self._dead):
            self._revive(name)
        for store, times in self._stopped.items():
            for _ in range(times):
                self._start(store)
        for process in self._world.processes.values():
            process.thaw()
