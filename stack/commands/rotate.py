"""
Turns a secret of a running stack over, without a failed call: `make rotate`.
"""

import argparse

from stack.describe import describe
from stack.errors import StackError
from stack.progress import Progress
from stack.run import rotate_identities, rotate_stores
from stack.run.lock import exclusive
from stack.run.rotation import Rotation
from stack.run.running import require_running
from stack.settings import Settings

KINDS = {**rotate_stores.KINDS, **rotate_identities.KINDS}


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Turn over what WHAT names, and look whether every part uses the new one."""
    turn = KINDS.get(options.what)
    if turn is None:
        raise StackError(f"WHAT={options.what!r} is not one of {', '.join(KINDS)}")
    require_running(chosen)
    with exclusive(chosen):
        progress = Progress()
        turn(Rotation(describe(chosen), progress))
    print(f"Done: {options.what} was rotated in {progress.seconds():.1f} s, and is in use everywhere.")
    return 0
