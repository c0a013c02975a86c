"""
Derives the plan of a stack from its settings.
"""

from stack.install import artifacts
from stack.run import state
from stack.settings import Settings
from stack.topology import passwords
from stack.topology.plan import Plan


def describe(settings: Settings) -> Plan:
    """
    Describe an existing stack; write nothing.

    Raises `NotAStack` if there is none.
    """
    state.require(settings)
    return Plan(settings=settings, passwords=passwords.read(settings.secrets), programs=artifacts.programs())


def prepare(settings: Settings) -> Plan:
    """
    Create the stack's folders and passwords where they are missing, and describe it.

    Raises `NotAStack` for a folder with other contents.
    """
    state.claim(settings)
    return Plan(settings=settings, passwords=passwords.keep(settings.secrets), programs=artifacts.programs())
