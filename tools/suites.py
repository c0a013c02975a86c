"""
`make test`: checks, unit tests, then integration tests on a stack of their own, which is taken down.
"""

import argparse
import dataclasses
import os
import signal
import subprocess

from stack import settings as settings_module
from stack.commands import clean
from stack.commands.up import up
from stack.describe import describe
from stack.errors import StackError
from stack.install import artifacts
from stack.progress import Progress
from stack.run import end, state
from stack.run.lock import exclusive
from stack.settings import Settings
from stack.topology import system as everything
from tools import lint

# An edge port and a network that no other stack has unless somebody chose them; TEST_PORT lets several checkouts
# of one machine test at the same time.
PORT, NETWORK = 18080, 200
UNIT_SECONDS = 600
COMPONENTS_SECONDS = 1200
INTEGRATION_SECONDS = 1800
RESILIENCE_SECONDS = 900
BROWSER_SECONDS = 1200
SERVICES_AT_A_TIME = 3
# They have fixed addresses, and what they look at depends on time: one after the other.
RIGS = ("tests/system", "tests/mesh", "tests/components/edge", "tests/components/hops")
INTERRUPT_SECONDS = 30


def unit_command(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the unit tests, or those of them that TESTS names."""
    artifacts.contract(chosen, say=Progress().say)
    return unit(chosen, Progress(), options.tests)


def components_command(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the tests of single components, or those of them that TESTS names."""
    artifacts.contract(chosen, say=Progress().say)
    return components(chosen, Progress(), options.tests)


def integration_command(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the integration tests, or those of them that TESTS names, on a stack of their own."""
    state.claim(chosen)
    with exclusive(chosen, "tests"):
        return integration(of_tests(chosen), Progress(), options.tests)


def all_command(settings: Settings, _options: argparse.Namespace) -> int:
    """Exit code 0 only when all passed; nothing is left running."""
    progress = Progress()
    state.claim(settings)
    with exclusive(settings, "tests"):
        artifacts.contract(settings, say=progress.say)
        return (
            lint.lint(settings)
            or unit(settings, progress)
            or components(settings, progress)
            or integration(of_tests(settings), progress)
        )


def unit(settings: Settings, progress: Progress, tests: str = "") -> int:
    """The tests that need no stack."""
    progress.say("unit tests")
    # A single test stays in one process, where a debugger can stop it.
    parallel = () if tests else ("-n", "auto", "--dist", "worksteal")
    return _pytest(settings, tests or "tests/unit", *parallel, seconds=UNIT_SECONDS)


def components(settings: Settings, progress: Progress, tests: str = "") -> int:
    """The tests that start the real programs which one component needs, but no stack."""
    artifacts.kafka(settings, say=progress.say)
    progress.say("tests of components")
    if tests:
        return _pytest(settings, tests, seconds=COMPONENTS_SECONDS)
    # A service with its stores waits more than it computes, and has no fixed address.
    parallel = ("-n", str(SERVICES_AT_A_TIME), "--dist", "loadfile", *(f"--ignore={rig}" for rig in RIGS))
    return _pytest(settings, "tests/components", *parallel, seconds=COMPONENTS_SECONDS) or _pytest(
        settings, *RIGS, seconds=COMPONENTS_SECONDS
    )


def of_tests(settings: Settings) -> Settings:
    """The tests' own stack: a folder in the state, another port, another network."""
    port = settings_module.integer(os.environ, "TEST_PORT", PORT, 1024, settings_module.HIGHEST_PORT)
    network = NETWORK if port == PORT else settings_module.network_of(port)
    differing = (f"STATE={settings.state_of_tests}", f"PORT={port}", f"NETWORK={network}", f"TOOLS={settings.tools}")
    return dataclasses.replace(settings, state=settings.state_of_tests, port=port, network=network, differing=differing)


def integration(own: Settings, progress: Progress, tests: str = "") -> int:
    """The tests of a whole stack, which is started for them and ended after them."""
    clean_up(own, progress)
    try:
        up(own, progress)
        progress.say("integration tests")
        failed = _pytest(own, tests or "tests/integration", seconds=INTEGRATION_SECONDS)
        if failed or tests:
            return failed
        progress.say("tests of what is lost when parts fail")
        failed = _pytest(own, "tests/resilience", seconds=RESILIENCE_SECONDS)
        if failed:
            return failed
        progress.say(f"tests of the pages; screenshots go to {own.state}/screenshots")
        return _pytest(own, "tests/browser", seconds=BROWSER_SECONDS)
    finally:
        clean_up(own, progress)


def clean_up(own: Settings, progress: Progress) -> None:
    """End the tests' stack and forget what it stored; its logs and screenshots stay."""
    if state.exists(own):
        end.down(own, everything.steps(describe(own)), progress)
        clean.clean(own, keep=("log", "screenshots"))


def _pytest(settings: Settings, *words: str, seconds: int) -> int:
    command = [str(settings.venv / "bin" / "python"), "-m", "pytest", "-q", *words]
    variables = {**os.environ, **settings.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    tests = subprocess.Popen(command, cwd=settings.checkout, env=variables)
    try:
        return tests.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise StackError(f"{words[0]} took more than {seconds} s") from None
    finally:
        _interrupt(tests)


def _interrupt(tests: "subprocess.Popen[bytes]") -> None:
    """End tests that still run as Ctrl-C does, so that they end what they started."""
    if tests.poll() is None:
        tests.send_signal(signal.SIGINT)
        try:
            tests.wait(timeout=INTERRUPT_SECONDS)
        except subprocess.TimeoutExpired:
            tests.kill()
