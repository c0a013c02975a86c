"""Programs that a release runs."""

import os
import subprocess
from collections.abc import Sequence

from stack.settings import CHECKOUT

TIMEOUT_S = 600


class Failed(Exception):
    """A release cannot be made; the message says why."""


def run(command: Sequence[str], **environment: str) -> str:
    """
    Return what a command prints, with variables of the *environment* beside ours.

    Raises `Failed` with what it says if it fails.
    """
    try:
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise Failed(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} did not finish within {TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout
