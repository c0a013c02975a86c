"""The effects of an attack on the stack: ejected replicas, restarted processes, memory use, blocked event loops."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from chaos.hostile import turns
from stack.run import health, restarts, supervisor
from stack.run.memory import memory_of
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology.addresses import Endpoint
from stack.topology.processes import Process
from translator.control import admin
from translator.model.registry import SocketAddress

MIB = 1024 * 1024
EJECTIONS = re.compile(
    r"^cluster\.(?P<cluster>.+?);?\.outlier_detection\.(?P<kind>[a-z_]+): (?P<count>\d+)$", re.MULTILINE
)
EDGE = "edge"
WATCHED = ("orders", "inventory", EDGE, "pages")
DELAYS = re.compile(r'^event_loop_blocked_seconds_bucket\{le="(?P<bound>[^"]+)"\} (?P<count>\S+)$', re.MULTILINE)
METRICS_S = 5.0
MAX_METRICS_BYTES = 4 * MIB
BACK_WITHIN_S = 60
MAX_MIB = 32
# A call takes 26 KiB of an Envoy (measured at the edge) from its header to its answer, also if that is a refusal.
STREAM_KIB = 32
MAX_BLOCKED_MS = 50.0
HEALED_WITHIN_S = 45
PAUSE_S = 1.0


@dataclass(frozen=True)
class Look:
    """
    The state of the stack at one moment: ejections so far, hosts ejected now, restarts so far, process ids, bytes
    used; for each service how many delays of its event loop were at most so many seconds, so far.
    """

    ejections: Mapping[str, int]
    ejected: int
    restarts: Mapping[str, int]
    pids: Mapping[str, int]
    memory: Mapping[str, int]
    loops: Mapping[str, Mapping[float, int]]


class Observer:
    """Observes every Envoy and every process of the stack."""

    def __init__(self, settings: Settings, processes: Sequence[Process]) -> None:
        self._settings = settings
        self._admins = {
            each.name: SocketAddress(each.listens[0].address, each.listens[0].port)
            for each in processes
            if each.command[0].endswith("/envoy")
        }
        self._listeners = {
            # The edge's first port for its callers; a sidecar's for its own application, which is without TLS.
            each.name: each.listens[1] if each.name.startswith(EDGE) else each.listens[-1]
            for each in processes
            if each.name in self._admins
        }
        self._metrics = {
            each.name: each.listens[1]
            for each in processes
            if each.name.startswith(WATCHED) and each.name not in self._admins and len(each.listens) > 1
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
        pids = await self._pids()
        return Look(
            ejections=ejections,
            ejected=ejected,
            restarts=restarts.load(supervisor.restarts_file(self._settings)),
            pids=pids,
            memory=await self._held(await asyncio.to_thread(self._memory, pids)),
            loops=dict(zip(self._metrics, await asyncio.gather(*map(_delays, self._metrics.values())), strict=True)),
        )

    def turns(self, look: Look) -> AbstractAsyncContextManager[turns.Longest]:
        """
        Measure the turns of the Envoys that ran at *look*.
        """
        return turns.measured(
            {
                name: turns.Envoy(at.address, at.port, look.pids[name])
                for name, at in self._listeners.items()
                if name in look.pids
            }
        )

    async def _held(self, memory: Mapping[str, int]) -> dict[str, int]:
        """
        Subtract what an Envoy's allocator keeps free for the next burst, as Envoy's own heap limit does.
        """
        envoys = [name for name in memory if name in self._admins]
        texts = await asyncio.gather(*(admin.get(self._admins[name], "/memory") for name in envoys))
        free = {name: int(json.loads(text)["pageheap_free"]) for name, text in zip(envoys, texts, strict=True) if text}
        return {name: taken - free.get(name, 0) for name, taken in memory.items()}

    async def _pids(self) -> dict[str, int]:
        info = await asyncio.to_thread(Supervisor(self._settings).info)
        return {name: int(each["pid"]) for name, each in info.items()}

    def _memory(self, pids: Mapping[str, int]) -> dict[str, int]:
        return memory_of(self._settings, {name: pids.get(name, 0) for name in self._names})

    async def highest(self, stop: asyncio.Event) -> dict[str, int]:
        """
        Return the peak memory of each process until *stop*.
        """
        highest: dict[str, int] = {}
        pids = await self._pids()
        while not stop.is_set():
            for name, taken in (await self._held(await asyncio.to_thread(self._memory, pids))).items():
                highest[name] = max(highest.get(name, 0), taken)
            try:
                async with asyncio.timeout(PAUSE_S):
                    await stop.wait()
            except TimeoutError:
                continue
        return highest

    async def memory_back(self, before: Look, after: Look) -> dict[str, int]:
        """
        Return by how many MiB processes still exceed *before* 60 s from *after* on, if by more than 32; empty as soon
        as none does.
        """
        end = time.monotonic() + BACK_WITHIN_S
        while (over := above(after.memory, before.memory)) and time.monotonic() < end:
            await asyncio.sleep(PAUSE_S)
            after = await self.look()
        return over

    async def healed(self) -> Look:
        """
        Return the state once no host is ejected, or after 45 s.
        """
        end = time.monotonic() + HEALED_WITHIN_S
        while True:
            look = await self.look()
            if not look.ejected or time.monotonic() > end:
                return look
            await asyncio.sleep(PAUSE_S)


async def _delays(metrics: Endpoint) -> dict[float, int]:
    """
    Return how many delays of a service's event loop were at most so many seconds, by the service's own measure.
    """
    _, body = await asyncio.to_thread(health.get, metrics, "/metrics", max_bytes=MAX_METRICS_BYTES, timeout_s=METRICS_S)
    return delays_in(body.decode())


def delays_in(metrics: str) -> dict[float, int]:
    """
    Return how many delays were at most so many seconds, by the text of a service's metrics.
    """
    return {float(match["bound"]): int(float(match["count"])) for match in DELAYS.finditer(metrics)}


def longest_ms(now: Mapping[float, int], before: Mapping[float, int]) -> float | None:
    """
    Return a bound of the longest delay of a loop between two looks, in milliseconds; None if nothing was measured.

    It is the upper bound of the histogram's bucket, so that a delay of a bound's length counts as no more.
    """
    total = now.get(float("inf"), 0) - before.get(float("inf"), 0)
    if total <= 0:
        return None
    return next(1000 * bound for bound in sorted(now) if now[bound] - before.get(bound, 0) == total)


def too_large(peaks: Mapping[str, int], streams: int) -> dict[str, int]:
    """
    Return the processes that took more than 32 MiB; an Envoy may take 32 KiB for each of so many *streams*.
    """
    of_an_envoy = max(MAX_MIB, streams * STREAM_KIB // 1024)
    return {name: mib for name, mib in peaks.items() if mib > (of_an_envoy if _is_envoy(name) else MAX_MIB)}


def _is_envoy(name: str) -> bool:
    return name.startswith(EDGE) or name.endswith("-envoy")


def above(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """
    Return by how many MiB each process exceeds *before*, if by more than 32.
    """
    grown = {name: (taken - before.get(name, 0)) // MIB for name, taken in now.items()}
    return {name: mib for name, mib in grown.items() if mib > MAX_MIB}


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
