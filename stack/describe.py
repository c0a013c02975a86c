"""
The plan of the stack that the settings choose.
"""

from stack import install, passwords, state
from stack.plan import Plan
from stack.settings import Settings


def describe(settings: Settings) -> Plan:
    """
    Describe a stack that was made before; writes nothing.

    Raises `NotAStack` where there is none.
    """
    state.require(settings)
    return Plan(settings=settings, passwords=passwords.read(settings.secrets), programs=install.programs())


def prepare(settings: Settings) -> Plan:
    """
    Make the stack's folders and draw its passwords, unless they are there, and describe it.

    Raises `NotAStack` for a folder that holds something else.
    """
    state.claim(settings)
    return Plan(settings=settings, passwords=passwords.keep(settings.secrets), programs=install.programs())
