"""The end of a benchmark command: started processes are stopped, and errors are printed in one line."""

from __future__ import annotations

import shutil
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

    Without wrk, which places the load of every benchmark, it ends before anything is started.
    """
    if shutil.which("wrk") is None:
        sys.exit("error: wrk is not there: apt-get install wrk")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except StackError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
