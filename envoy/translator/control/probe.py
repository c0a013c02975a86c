"""
Readiness probes: calls each application's health service, as the kubelet would.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from translator.model.registry import Inbound, SocketAddress, Workload

TIMEOUT_S = 1.0
# A refused connection is certain; a missing response may be a busy machine, so it must persist.
SILENCES_ALLOWED = 2
OPTIONS = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]


class Prober:
    """
    Tracks the workloads that are not ready; their endpoints are removed, as in Kubernetes.
    """

    def __init__(self) -> None:
        self._channels: dict[SocketAddress, grpc.aio.Channel] = {}
        self._silences: dict[str, int] = {}
        self._not_ready: set[str] = set()

    async def not_ready(self, workloads: Iterable[Workload]) -> frozenset[str]:
        """
        Probe every application once; return the names of the workloads that are not ready.
        """
        serving = [workload for workload in workloads if workload.inbound]
        answers = await asyncio.gather(*(self._is_ready(workload) for workload in serving))
        self._not_ready = {workload.name for workload, ready in zip(serving, answers, strict=True) if not ready}
        return frozenset(self._not_ready)

    async def close(self) -> None:
        """
        Close every connection.
        """
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    async def _is_ready(self, workload: Workload) -> bool:
        answers = await asyncio.gather(*(self._ask_one(inbound) for inbound in workload.inbound))
        if None not in answers:
            self._silences[workload.name] = 0
            return all(answers)
        self._silences[workload.name] = self._silences.get(workload.name, 0) + 1
        was_ready = workload.name not in self._not_ready
        return was_ready and False not in answers and self._silences[workload.name] <= SILENCES_ALLOWED

    async def _ask_one(self, inbound: Inbound) -> bool | None:
        return await (_get(inbound.application, inbound.health) if inbound.health else self._ask(inbound.application))

    async def _ask(self, address: SocketAddress) -> bool | None:
        """
        Return whether an application reports that it is serving; None without a response in time.
        """
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(str(address), options=OPTIONS)
        stub: Any = health_pb2_grpc.HealthStub(self._channels[address])
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return None if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _get(address: SocketAddress, path: str) -> bool | None:
    """
    Return whether a GET returns 200; None without a response in time.
    """
    writer = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n".encode())
            status_line = await reader.readline()
        return status_line.split(b" ")[1:2] == [b"200"]
    except TimeoutError:
        return None
    except OSError:
        return False
    finally:
        if writer is not None:
            writer.close()
