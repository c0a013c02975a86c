"""
The stack's commands, as the Makefile calls them: `python -m stack COMMAND`.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from runtime.broken_pipe import until_reader_leaves
from stack import command_table, settings
from stack.command_table import Command
from stack.errors import StackError


def main(words: Sequence[str], *, program: str = "stack", commands: Sequence[Command] = command_table.COMMANDS) -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return until_reader_leaves(lambda: _run(words, program, commands))
    except BrokenPipeError as error:
        return _failed(error)


def _run(words: Sequence[str], program: str, commands: Sequence[Command]) -> int:
    try:
        chosen = settings.read(os.environ, checkout=settings.CHECKOUT)
        command, options = command_table.parse(program, commands, words)
        return command.load()(chosen, options)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _failed(error: OSError) -> int:
    print(f"error: {error.filename or type(error).__name__}: {error.strerror or error}", file=sys.stderr)
    return 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM like Ctrl-C, so that a command that is terminated cleans up what it began."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
