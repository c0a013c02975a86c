"""Progress messages of commands that take a while."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress


class Progress:
    """
    Prints lines like `[12.3s] postgres-0: primary` from any thread, with the seconds since its creation.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = clock()
        self._lock = threading.Lock()

    def seconds(self) -> float:
        """Return the seconds since the work began."""
        return self._clock() - self._begin

    def say(self, text: str) -> None:
        """Print one line immediately."""
        # A closed terminal must not end the work.
        with self._lock, suppress(BrokenPipeError):
            print(f"[{self.seconds():5.1f}s] {text}", flush=True)
