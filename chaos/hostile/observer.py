"""The effects of an attack on the stack: ejected replicas, restarted processes, memory use."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stack.run import restarts, supervisor
from stack.run.memory import memory_of
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology.processes import Process
from translator.control import admin
from translator.model.registry import SocketAddress

MIB = 1024 * 1024
EJECTIONS = re.compile(
    r"^cluster\.(?P<cluster>.+?);?\.outlier_detection\.(?P<kind>[a-z_]+): (?P<count>\d+)$", re.MULTILINE
)
WATCHED = ("orders", "inventory", "edge", "pages")
BACK_WITHIN_S = 60
BACK_MIB = 32
HEALED_WITHIN_S = 45
PAUSE_S = 1.0


@dataclass(frozen=True)
class Look:
    """
    The state of the stack at one moment: ejections so far, hosts ejected now, restarts so far, process ids, bytes
    used.
    """

    ejections: Mapping[str, int]
    ejected: int
    restarts: Mapping[str, int]
    pids: Mapping[str, int]
    memory: Mapping[str, int]


class Observer:
    """Observes every Envoy and every process of the stack."""

    def __init__(self, settings: Settings, processes: Sequence[Process]) -> None:
        self._settings = settings
        self._admins = {
            each.name: SocketAddress(each.listens[0].address, each.listens[0].port)
            for each in processes
            if each.command[0].endswith("/envoy")
        }
        self._names = [each.name for each in processes if each.name.startswith(WATCHED)]

    async def look(self) -> Look:
        """
        Return the current state.
        """
        texts = await asyncio.gather(
            *(
                admin.get(each, "/stats?filter=outlier_detection.ejections_(enforced_total|active)$")
                for each in self._admins.values()
            )
        )
        ejections: dict[str, int] = {}
        ejected = 0
        for name, text in zip(self._admins, texts, strict=True):
            for match in EJECTIONS.finditer(text or ""):
                if match["kind"] == "ejections_active":
                    ejected += int(match["count"])
                elif match["kind"] == "ejections_enforced_total":
                    ejections[f"{name} of {match['cluster']}"] = int(match["count"])
        info = await asyncio.to_thread(Supervisor(self._settings).info)
        pids = {name: int(each["pid"]) for name, each in info.items()}
        return Look(
            ejections=ejections,
            ejected=ejected,
            restarts=restarts.load(supervisor.restarts_file(self._settings)),
            pids=pids,
            memory=await self._held(await asyncio.to_thread(self._memory, pids)),
        )

    async def _held(self, memory: Mapping[str, int]) -> dict[str, int]:
        """
        Subtract what an Envoy's allocator keeps free for the next burst, as Envoy's own heap limit does.
        """
        envoys = [name for name in memory if name in self._admins]
        texts = await asyncio.gather(*(admin.get(self._admins[name], "/memory") for name in envoys))
        free = {name: int(json.loads(text)["pageheap_free"]) for name, text in zip(envoys, texts, strict=True) if text}
        return {name: taken - free.get(name, 0) for name, taken in memory.items()}

    def _memory(self, pids: Mapping[str, int]) -> dict[str, int]:
        return {name: memory_of(self._settings, name, pids.get(name, 0)) for name in self._names}

    async def highest(self, stop: asyncio.Event) -> dict[str, int]:
        """
        Return the peak memory of each process until *stop*.
        """
        highest: dict[str, int] = {}
        pids = {
            name: int(each["pid"]) for name, each in (await asyncio.to_thread(Supervisor(self._settings).info)).items()
        }
        while not stop.is_set():
            for name, taken in (await self._held(await asyncio.to_thread(self._memory, pids))).items():
                highest[name] = max(highest.get(name, 0), taken)
            try:
                async with asyncio.timeout(PAUSE_S):
                    await stop.wait()
            except TimeoutError:
                continue
        return highest

    async def memory_back(self, before: Look) -> dict[str, int]:
        """
        Return by how many MiB processes still exceed *before* after 60 s, if by more than 32; empty as soon as none
        does.
        """
        end = time.monotonic() + BACK_WITHIN_S
        while True:
            over = above((await self.look()).memory, before.memory)
            if not over or time.monotonic() > end:
                return over
            await asyncio.sleep(PAUSE_S)

    async def healed(self) -> bool:
        """
        Wait up to 45 s until no host is ejected; return whether that was reached.
        """
        end = time.monotonic() + HEALED_WITHIN_S
        while (await self.look()).ejected:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(PAUSE_S)
        return True


def above(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """
    Return by how many MiB each process exceeds *before*, if by more than 32.
    """
    grown = {name: (taken - before.get(name, 0)) // MIB for name, taken in now.items()}
    return {name: mib for name, mib in grown.items() if mib > BACK_MIB}


def grown(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """
    Return the counters that increased.
    """
    return {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}


def restarted(now: Look, before: Look) -> list[str]:
    """
    Return the processes that exited unexpectedly, or were replaced.
    """
    ended = set(grown(now.restarts, before.restarts))
    return sorted(ended | {name for name, pid in now.pids.items() if before.pids.get(name, pid) != pid})
