"""
A program whose reader leaves ends without a word; any other broken pipe is an error.
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
    """The exit code and the standard error of a program whose standard output has a reader, or none any more."""
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
def test_a_reader_that_has_gone_ends_the_program_without_a_word(body: str) -> None:
    assert ended(body) == (READER_GONE, b"")


def test_with_a_reader_the_programs_own_code_counts() -> None:
    assert ended("print('a line')", reader=True) == (3, b"")


def test_a_connection_that_breaks_is_no_reader_that_has_gone() -> None:
    code, said = ended("raise BrokenPipeError(32, 'a connection')", reader=True)
    assert code == 1
    assert b"BrokenPipeError" in said


def test_a_program_that_says_nothing_is_not_asked_for_its_reader() -> None:
    assert until_reader_leaves(lambda: 0) == 0
