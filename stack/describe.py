"""
The plan of the stack that the settings choose.
"""

from stack import install, passwords, write
from stack.plan import Plan
from stack.settings import Settings


def describe(settings: Settings) -> Plan:
    """Read or draw the passwords, and find the machine's programs."""
    write.folders(settings)
    return Plan(settings=settings, passwords=passwords.keep(settings.secrets), programs=install.programs())
