"""
A closed standard output ends a program silently; any other broken pipe is an error.
"""

import os
import subprocess
import sys

import pytest

from runtime.broken_pipe import READER_GONE, until_reader_leaves

BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}
TALKER = """
import sys
from runtime.broken_pipe import until_reader_leaves

def command():
    {body}
    return 3

sys.exit(until_reader_leaves(command))
"""


def ended(body: str, *, reader: bool = False) -> tuple[int, bytes]:
    """Return the exit code and standard error of a program whose standard output has a reader, or none any more."""
    reading, writing = os.pipe()
    if not reader:
        os.close(reading)
    with os.fdopen(writing, "wb") as output:
        command = [sys.executable, "-c", TALKER.format(body=body)]
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, timeout=60, env=BUFFERED, check=False)
    if reader:
        os.close(reading)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "print('a line that is still in the buffer at the end')",
        "print('what argparse says before it ends the program'); sys.exit(0)",
        "[print('x' * 99) for _ in range(9999)]",
    ],
)
def test_a_closed_pipe_ends_the_program_silently(body: str) -> None:
    assert ended(body) == (READER_GONE, b"")


def test_with_a_reader_the_exit_code_is_the_programs() -> None:
    assert ended("print('a line')", reader=True) == (3, b"")


def test_a_broken_connection_is_not_a_closed_pipe() -> None:
    code, stderr = ended("raise BrokenPipeError(32, 'a connection')", reader=True)
    assert code == 1
    assert b"BrokenPipeError" in stderr


def test_a_program_without_output_is_not_affected() -> None:
    assert until_reader_leaves(lambda: 0) == 0
