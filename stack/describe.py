"""
The plan of the stack that the settings choose.
"""

from stack.install import artifacts
from stack.run import state
from stack.settings import Settings
from stack.topology import passwords
from stack.topology.plan import Plan


def describe(settings: Settings) -> Plan:
    """
    Describe a stack that was made before; writes nothing.

    Raises `NotAStack` where there is none.
    """
    state.require(settings)
    return Plan(settings=settings, passwords=passwords.read(settings.secrets), programs=artifacts.programs())


def prepare(settings: Settings) -> Plan:
    """
    Make the stack's folders and draw its passwords, unless they are there, and describe it.

    Raises `NotAStack` for a folder that holds something else.
    """
    state.claim(settings)
    return Plan(settings=settings, passwords=passwords.keep(settings.secrets), programs=artifacts.programs())
