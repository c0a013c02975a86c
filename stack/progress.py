"""What a person reads while something takes its time."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress


class Progress:
    """
    Lines like `[12.3s] postgres-0: primary`, from any thread, seconds since it was made.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = clock()
        self._lock = threading.Lock()

    def seconds(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self._begin

    def say(self, text: str) -> None:
        """Print one line, at once."""
        # Whoever closes the terminal does not end the work.
        with self._lock, suppress(BrokenPipeError):
            print(f"[{self.seconds():5.1f}s] {text}", flush=True)
