"""
The health of the data stores: PostgreSQL from its members' metrics, the others from a request of the pages server.

Each is sent a request that needs no password and succeeds only while the store works.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from gateway.pages.prometheus import Prometheus, Sample

TIMEOUT_S = 1.0
MAX_ANSWER_BYTES = 4096
# The members read the DCS every two seconds; a longer gap means that they cannot reach it.
LATE_S = 15.0
Json = dict[str, Any]
Probe = Callable[[str, int], Awaitable[None]]
POSTGRES = {
    "up": 'max by (pod) (up{job="patroni"})',
    "primary": "max by (pod) (patroni_primary)",
    "running": "max by (pod) (patroni_postgres_running)",
    "in_sync": 'max by (pod) ({__name__=~"patroni_(sync|quorum)_standby"})',
    "streaming": "max by (pod) (patroni_postgres_streaming)",
    "agreed_s": "max by (pod) (time() - patroni_dcs_last_seen)",
}


class Stores:
    """Checks the stores; *addresses* are those that this process can reach, by name."""

    def __init__(self, prometheus: Prometheus, addresses: Mapping[str, Sequence[str]]) -> None:
        self._prometheus = prometheus
        self._addresses = addresses

    async def read(self) -> list[Json]:
        """
        Return each store's state: `up`, `degraded` or `down`, with the reason; raises the error of Prometheus.
        """
        names = [name for name in PROBES if name in self._addresses]
        database, *others = await asyncio.gather(
            self._postgres(), *(probe(name, self._addresses[name]) for name in names)
        )
        return [database, *others]

    async def _postgres(self) -> Json:
        return postgres(await self._prometheus.together(POSTGRES))


def postgres(found: Mapping[str, Sequence[Sample]]) -> Json:
    """
    Return PostgreSQL's members with their roles, and their overall state.
    """
    values = {name: {each.labels.get("pod", ""): each.value for each in samples} for name, samples in found.items()}
    members = [
        {"name": pod, "role": _role(pod, values), "up": bool(up) and bool(values["running"].get(pod))}
        for pod, up in sorted(values["up"].items())
    ]
    roles = [member["role"] for member in members]
    late = max(values["agreed_s"].values(), default=0.0) > LATE_S
    if "leader" not in roles:
        state, text = "down", "no leader: nothing can be written"
    elif "copy in sync" not in roles:
        state, text = "degraded", "no copy in sync: the leader must not be lost now"
    elif late:
        state, text = "degraded", "the members cannot agree: no failover is possible now"
    elif not all(member["up"] for member in members):
        state, text = "degraded", "a member is down"
    else:
        state, text = "up", "a leader and a copy in sync"
    return {"name": "PostgreSQL", "state": state, "text": text, "members": members}


def _role(pod: str, values: Mapping[str, Mapping[str, float]]) -> str:
    if not values["up"].get(pod) or not values["running"].get(pod):
        return "down"
    if values["primary"].get(pod):
        return "leader"
    if values["in_sync"].get(pod):
        return "copy in sync"
    return "copy, behind" if values["streaming"].get(pod) else "copy, not connected"


async def probe(name: str, addresses: Sequence[str]) -> Json:
    """
    Check whether each member of one store answers; a store of one member is shown without members.
    """
    failures = await asyncio.gather(*(_failure(name, address) for address in addresses))
    failed = [failure for failure in failures if failure]
    members = [
        {"name": f"{name.lower()}-{number}", "role": "down" if failure else "answers", "up": not failure}
        for number, failure in enumerate(failures)
    ]
    store = {"name": name, "members": members if len(members) > 1 else []}
    if not failed:
        return {**store, "state": "up", "text": "answers" if len(addresses) == 1 else f"all {len(addresses)} answer"}
    if len(addresses) == 1:
        return {**store, "state": "down", "text": failed[0]}
    # With less than a majority there is no controller, and too few copies to write.
    enough = len(failed) < len(addresses) / 2
    text = f"{len(failed)} of {len(addresses)} {'is' if len(failed) == 1 else 'are'} down: {failed[0]}"
    return {**store, "state": "degraded" if enough else "down", "text": text}


async def _failure(name: str, address: str) -> str:
    """Return what is wrong with one member, empty if it answers."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await PROBES[name](host, int(port))
    except TimeoutError:
        return f"no response within {TIMEOUT_S:g} s"
    except (OSError, UnexpectedResponse, asyncio.IncompleteReadError) as error:
        return f"does not answer: {error}"
    return ""


class UnexpectedResponse(Exception):
    """Something other than the store answers, or the store reports a problem."""


async def _ask(host: str, port: int, question: bytes, size: int | None = None) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(question)
        await writer.drain()
        return await (reader.read(MAX_ANSWER_BYTES) if size is None else reader.readexactly(size))
    finally:
        writer.close()


async def _redis(host: str, port: int) -> None:
    """Check Redis: without a password it only shows that it is there; while loading, it says so."""
    answer = await _ask(host, port, b"PING\r\n")
    if not answer.startswith((b"+PONG", b"-NOAUTH")):
        raise UnexpectedResponse(answer[:60].decode(errors="replace").strip() or "the connection was closed")


async def _kafka(host: str, port: int) -> None:
    """Check Kafka with ApiVersions, version 0, which every broker answers without authentication (KIP-35)."""
    correlation, client = 7, b"board"
    request = struct.pack(">hhih", 18, 0, correlation, len(client)) + client
    answer = await _ask(host, port, struct.pack(">i", len(request)) + request, 10)
    _, echoed, error = struct.unpack(">iih", answer)
    if echoed != correlation or error != 0:
        raise UnexpectedResponse(f"not Kafka's response, or its error {error}")


async def _etcd(host: str, port: int) -> None:
    question = f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    answer = await _ask(host, port, question)
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise UnexpectedResponse("unhealthy: it has no leader, or cannot write")


PROBES: Mapping[str, Probe] = {"Kafka": _kafka, "Redis": _redis, "etcd": _etcd}
