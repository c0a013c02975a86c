"""Ports of pods on this machine: `kubectl port-forward`, started again for as long as they are needed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Sequence

from chaos.lab.cluster.actions import Place
from stack.errors import StackError

AGAIN_S, FIRST_S, POLL_S = 0.5, 20.0, 0.1
HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def forwarded(place: Place, targets: Sequence[tuple[str, int]]) -> AsyncIterator[list[str]]:
    """
    Keep a port of this machine for each pod and port of *targets* during the block; return them as `HOST:PORT`.

    A pod that is replaced under its name, as those of a StatefulSet are, is reached again at the same port. Raises
    `StackError` for a pod that is not reached at first.
    """
    ports = [_free_port() for _ in targets]
    tasks = [
        asyncio.create_task(
            _keep(
                *_with_this_process(),
                *place.kubectl("port-forward", f"--address={HOST}", f"pod/{pod}", f"{port}:{remote}"),
            )
        )
        for (pod, remote), port in zip(targets, ports, strict=True)
    ]
    try:
        listening = (_listening(port, pod) for port, (pod, _) in zip(ports, targets, strict=True))
        await asyncio.gather(*listening)
        yield [f"{HOST}:{port}" for port in ports]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _with_this_process() -> Sequence[str]:
    """Return what makes a command end with this process, also a killed one; nothing where there is no such tool."""
    found = shutil.which("setpriv")
    return (found, "--pdeathsig", "KILL", "--") if found else ()


async def _keep(*command: str) -> None:
    while True:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await asyncio.sleep(AGAIN_S)


async def _listening(port: int, pod: str) -> None:
    try:
        async with asyncio.timeout(FIRST_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection(HOST, port)
                except OSError:
                    await asyncio.sleep(POLL_S)
                    continue
                writer.close()
                return
    except TimeoutError as error:
        raise StackError(f"no port of the pod {pod} is forwarded to this machine within {FIRST_S:g} s") from error


def _free_port() -> int:
    with socket.socket() as server:
        server.bind((HOST, 0))
        return int(server.getsockname()[1])
