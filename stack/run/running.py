"""
Checks whether a stack is running, and diagnoses a supervisor that does not answer.
"""

from stack.errors import StackError
from stack.run import members, state
from stack.run.supervisor import Supervisor
from stack.settings import Settings


class NotRunning(StackError):
    """The command needs a running stack; the message describes the actual state."""


def require_running(settings: Settings) -> None:
    """Raise `NotAStack` or `NotRunning` unless the stack's supervisor answers; change nothing."""
    state.require(settings)
    if not Supervisor(settings).runs():
        raise NotRunning(why_not(settings))


def why_not(settings: Settings) -> str:
    """Explain why no supervisor answers: nothing is running, or processes without it are."""
    left = members.of_stack(settings)
    if not left:
        return f"nothing runs in {settings.state}; start it with `{settings.command('up')}`"
    return (
        f"the supervisor of {settings.state} does not answer, but {len(left)} processes of the stack are running; "
        f"`{settings.command('down')}` stops them, `{settings.command('up')}` restarts the stack"
    )
