"""How the benchmark's commands end: what they started is ended, and what went wrong is said in a line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from stack.errors import StackError

INTERRUPTED = 130


@contextmanager
def command() -> Iterator[None]:
    """
    Handle SIGTERM like Ctrl-C, and report our own errors as one message.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except StackError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
