"""
`make test`: checks, unit tests, then integration tests on a stack of their own, which is taken down.
"""

import dataclasses
import os
import subprocess

from stack import clean, end, install, lint, topology
from stack.describe import describe
from stack.errors import StackError
from stack.progress import Progress
from stack.settings import Settings
from stack.up import up

# An edge port and a network that no other stack has unless somebody chose them.
PORT, NETWORK = 18080, 200
UNIT_SECONDS = 600
INTEGRATION_SECONDS = 900


def test(settings: Settings) -> int:
    """Exit code 0 only when all three passed; nothing is left running."""
    progress = Progress()
    install.contract(settings, say=progress.say)
    if lint.lint(settings):
        return 1
    progress.say("unit tests")
    if _pytest(settings, "tests/unit", seconds=UNIT_SECONDS):
        return 1
    return _integration(of_tests(settings), progress)


def of_tests(settings: Settings) -> Settings:
    """The tests' own stack: a folder in the state, another port, another network."""
    return dataclasses.replace(settings, state=settings.state / "test", port=PORT, network=NETWORK)


def _integration(own: Settings, progress: Progress) -> int:
    clean_up(own, progress)
    try:
        up(own, progress)
        progress.say("integration tests")
        return _pytest(own, "tests/integration", seconds=INTEGRATION_SECONDS)
    finally:
        clean_up(own, progress)


def clean_up(own: Settings, progress: Progress) -> None:
    """End the tests' stack and forget what it stored; its logs stay."""
    end.down(own, topology.steps(describe(own)), progress)
    clean.clean(own, keep=("log",))


def _pytest(settings: Settings, path: str, *, seconds: int) -> int:
    command = [str(settings.venv / "bin" / "python"), "-m", "pytest", "-q", path]
    variables = {**os.environ, **settings.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(command, cwd=settings.checkout, env=variables, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        raise StackError(f"{path} took more than {seconds} s") from None
