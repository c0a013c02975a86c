"""
Programs whose output is piped, as in `make logs | head`.
"""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator

READER_GONE = 128 + signal.SIGPIPE


def until_reader_leaves(command: Callable[[], int]) -> int:
    """
    Run *command* and write its output; return its exit code, or `READER_GONE` if the reader has closed the pipe.

    Any other broken pipe, as of a connection, is the command's own error and passes through.
    """
    try:
        return _written_out(command)
    except BrokenPipeError:
        gone = list(_unread())
        if not gone:
            raise
        for descriptor in gone:
            # Nothing more may be written there, not even at the interpreter's exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        return READER_GONE


def _written_out(command: Callable[[], int]) -> int:
    """
    Run *command* and flush its output: at the interpreter's exit it is too late to report an error.
    """
    try:
        code = command()
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return code


def _unread() -> Iterator[int]:
    """
    Return which of standard output and standard error is a pipe without a reader.
    """
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        if any(events & select.POLLERR for _, events in poll.poll(0)):
            yield stream.fileno()
