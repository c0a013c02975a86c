"""Time and chance as the seed has them: what reads the clock, or draws, while a run lasts gets the run's."""

from __future__ import annotations

import contextlib
import random
import secrets
import time
import uuid
from collections.abc import Iterator
from typing import Any
from unittest import mock

from tests.simulation.loop import PROCESS, Loop

EPOCH_S = 1_780_000_000.0
"""When every run begins."""


def wall(loop: Loop) -> float:
    """
    Return the time since 1970 by the clock of whose code runs: clocks of processes differ by their skew.
    """
    process = PROCESS.get()
    return EPOCH_S + loop.time() + (process.skew_s if process is not None else 0.0)


@contextlib.contextmanager
def virtual(loop: Loop, rng: random.Random) -> Iterator[None]:
    """
    Have the standard library's clocks and sources of chance be those of *loop* and *rng*.
    """
    state = random.getstate()
    random.seed(rng.getrandbits(64))
    with contextlib.ExitStack() as stack:
        replaced: list[tuple[Any, str, Any]] = [
            (time, "monotonic", loop.time),
            (time, "perf_counter", loop.time),
            (time, "time", lambda: wall(loop)),
            (time, "time_ns", lambda: int(wall(loop) * 1_000_000) * 1000),
            (uuid, "uuid1", lambda: uuid.UUID(int=rng.getrandbits(128), version=4)),
            (uuid, "uuid4", lambda: uuid.UUID(int=rng.getrandbits(128), version=4)),
            (secrets, "token_hex", lambda size=32: rng.getrandbits(8 * size).to_bytes(size, "big").hex()),
        ]
        for module, name, value in replaced:
            stack.enter_context(mock.patch.object(module, name, value))
        try:
            yield
        finally:
            random.setstate(state)
