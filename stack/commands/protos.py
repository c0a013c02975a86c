"""
`make protos`: the contract's descriptor set and stubs.
"""

import argparse

from stack.install import artifacts
from stack.progress import Progress
from stack.settings import Settings


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Build them, even if nothing changed."""
    artifacts.contract(chosen, say=Progress().say, force=True)
    return 0
