"""
Whether a stack runs, and what is so when its supervisor does not answer.
"""

from stack.errors import StackError
from stack.run import members, state
from stack.run.supervisor import Supervisor
from stack.settings import Settings


class NotRunning(StackError):
    """The command needs a stack that runs; the message says what is so instead."""


def require_running(settings: Settings) -> None:
    """Raise `NotAStack` or `NotRunning` unless the stack's supervisor answers; looks only."""
    state.require(settings)
    if not Supervisor(settings).runs():
        raise NotRunning(why_not(settings))


def why_not(settings: Settings) -> str:
    """What is so when no supervisor answers: nothing runs, or processes without it."""
    left = members.of_stack(settings)
    if not left:
        return f"nothing runs in {settings.state}; `{settings.command('up')}` starts it"
    return (
        f"the supervisor of {settings.state} does not answer, while {len(left)} processes of the stack run; "
        f"`{settings.command('down')}` ends them, `{settings.command('up')}` ends them and starts anew"
    )
