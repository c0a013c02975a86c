"""
How long the event loops of the stack are blocked: Envoys' by HTTP/2 pings, services' by their own measure.

A ping is answered by the codec on the worker's thread, without a stream or a log line, so its delay is the turn that it
had to wait for. It ends with the kernel's time of the answer, not when this process comes to read it, and only what the
worker's thread used of the CPU counts: on a busy machine everything is late.

The pings are sent by a process of their own, so that the load of the attacker does not distort them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EVERY_S = 0.01
ANSWER_S = 5.0
RECONNECT_S = 0.1
START_S = 10.0
WORKER = "wrk:worker_0"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">HBBBI")
SETTINGS, PING, ACK = 4, 6, 1
_PING = HEAD.pack(0, 8, PING, 0, 0) + bytes(8)
_SETTINGS = HEAD.pack(0, 0, SETTINGS, 0, 0)
_SETTINGS_ACK = HEAD.pack(0, 0, SETTINGS, ACK, 0)
# The kernel's time of arrival beside what is read (socket(7)), as a timespec.
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@qq")
MAX_READ_BYTES = 65536
MS = 1000


@dataclass(frozen=True)
class Envoy:
    """An Envoy with one worker: a listener of it that takes HTTP/2, and its process."""

    address: str
    port: int
    pid: int


@dataclass
class Longest:
    """The longest turn of each part in milliseconds, and the parts of which nothing was measured."""

    ms: dict[str, float] = field(default_factory=dict)
    unmeasured: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def measured(envoys: Mapping[str, Envoy]) -> AsyncIterator[Longest]:
    """
    Yield the longest turns of *envoys* during the block; they are known at its end.
    """
    pipe, longest = asyncio.subprocess.PIPE, Longest()
    pinging = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdin=pipe, stdout=pipe)
    try:
        if pinging.stdin is None or pinging.stdout is None:
            raise RuntimeError("the process that measures has no pipes")
        pinging.stdin.write(json.dumps({name: vars(each) for name, each in envoys.items()}).encode() + b"\n")
        async with asyncio.timeout(START_S):
            await pinging.stdout.readline()
        yield longest
        pinging.stdin.close()
        async with asyncio.timeout(ANSWER_S + START_S):
            found = json.loads(await pinging.stdout.readline())
        longest.ms.update({name: seconds * MS for name, (answers, seconds) in found.items() if answers})
        longest.unmeasured.extend(name for name, (answers, _) in found.items() if not answers)
    finally:
        with contextlib.suppress(ProcessLookupError):
            pinging.kill()
        await pinging.wait()


class Pings(threading.Thread):
    """Pings one Envoy until *ended*."""

    def __init__(self, envoy: Envoy, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._envoy, self._ended = envoy, ended
        self.answers, self.longest_s = 0, 0.0

    def run(self) -> None:
        """
        Ping on one connection, and on a new one whenever Envoy has closed it.
        """
        worker = _worker(self._envoy.pid)
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                self._ping(worker)
            self._ended.wait(RECONNECT_S)

    def _ping(self, worker: Path) -> None:
        with socket.create_connection((self._envoy.address, self._envoy.port), timeout=ANSWER_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(PREFACE + _SETTINGS)
            connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            frames = Frames(connection)
            while not self._ended.is_set():
                used, began = _ran(worker), time.time()
                connection.sendall(_PING)
                answered = frames.pong()
                if answered is None:
                    return
                took = min(answered - began, _ran(worker) - used)
                self.answers, self.longest_s = self.answers + 1, max(self.longest_s, took)
                self._ended.wait(EVERY_S)


class Frames:
    """The frames that come in on *connection*; settings are acknowledged."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._bytes = bytearray()

    def pong(self) -> float | None:
        """
        Return when the answer to a ping came in, in seconds since 1970; None once the connection is closed.
        """
        while True:
            data, ancillary, *_ = self._connection.recvmsg(MAX_READ_BYTES, socket.CMSG_SPACE(TIMESPEC.size))
            if not data:
                return None
            self._bytes += data
            if (PING, ACK) in list(self._kinds()):
                return _stamped(ancillary)

    def _kinds(self) -> Iterator[tuple[int, int]]:
        """
        Take the complete frames and yield the type and the acknowledgement of each.
        """
        while len(self._bytes) >= HEAD.size:
            high, low, kind, flags, _ = HEAD.unpack_from(self._bytes)
            end = HEAD.size + (high << 8 | low)
            if len(self._bytes) < end:
                return
            del self._bytes[:end]
            if (kind, flags & ACK) == (SETTINGS, 0):
                self._connection.sendall(_SETTINGS_ACK)
            yield kind, flags & ACK


def _stamped(ancillary: Sequence[tuple[int, int, bytes]]) -> float:
    """
    Return the kernel's time of what was read, else the present one: the kernel begins to stamp some time after it is
    asked to.
    """
    for *_, value in ancillary:
        seconds, nanos = TIMESPEC.unpack(value)
        return float(seconds + nanos / 1e9)
    return time.time()


def _worker(pid: int) -> Path:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return next(task / "schedstat" for task in tasks if (task / "comm").read_text().strip() == WORKER)


def _ran(thread: Path) -> float:
    """Return the seconds that a thread has used of the CPU."""
    return int(thread.read_text().split()[0]) / 1e9


def main() -> None:
    """
    Ping the Envoys named on standard input until it ends; print each one's answers and longest turn in seconds.
    """
    stop, envoys = threading.Event(), json.loads(sys.stdin.readline())
    pings = {name: Pings(Envoy(**each), stop) for name, each in envoys.items()}
    for each in pings.values():
        each.start()
    print("started", flush=True)
    sys.stdin.read()
    stop.set()
    for each in pings.values():
        each.join(ANSWER_S)
    print(json.dumps({name: (each.answers, each.longest_s) for name, each in pings.items()}), flush=True)


if __name__ == "__main__":
    main()
