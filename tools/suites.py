"""
`make test`: lint, unit tests, then component and integration tests, the latter on a stack of their own that is taken
down afterwards.
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
from stack.settings import HA, SMALL, Settings
from stack.topology import system as everything
from tools import lint

# An edge port and a network that no other stack uses by default; TEST_PORT lets several checkouts of one machine test
# at the same time.
PORT, NETWORK = 18080, 200
UNIT_S = 600
COMPONENTS_S = 1200
INTEGRATION_S = 1800
RESILIENCE_S = 900
BROWSER_S = 1200
SEEDS = 1000
SERVICES_AT_A_TIME = 3
INTERRUPT_S = 30
# These are about a stack with three brokers and three members of PostgreSQL.
TESTS_OF_HA = "tests/ha"


def unit_command(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the unit tests, or those that TESTS names."""
    artifacts.contract(chosen, say=Progress().say)
    return unit(chosen, Progress(), options.tests)


def components_command(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the component tests, or those that TESTS names."""
    artifacts.contract(chosen, say=Progress().say)
    return components(chosen, Progress(), options.tests)


def integration_command(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the integration tests, or those that TESTS names, on a stack of their own."""
    state.claim(chosen)
    with exclusive(chosen, "tests"):
        return integration(of_tests(chosen, options.tests), Progress(), options.tests)


def simulate_command(chosen: Settings, options: argparse.Namespace) -> int:
    """Run the simulation with so many seeds, or one, or with each of the planted defects."""
    artifacts.contract(chosen, say=Progress().say)
    words = [f"--seed={options.seed}"] if options.seed else [f"--seeds={options.seeds or SEEDS}"]
    if options.defects == "yes":
        words.append("--defects")
    command = [str(chosen.venv / "bin" / "python"), "-m", "tests.simulation", *words]
    return subprocess.run(command, cwd=chosen.checkout, check=False).returncode


def all_command(settings: Settings, _options: argparse.Namespace) -> int:
    """Return 0 only if all passed; nothing is left running."""
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
    """Run the tests that need no stack."""
    progress.say("unit tests")
    # A single test runs in the main process, where a debugger can stop it.
    parallel = () if tests else ("-n", "auto", "--dist", "worksteal")
    return _pytest(settings, tests or "tests/unit", *parallel, seconds=UNIT_S)


def components(settings: Settings, progress: Progress, tests: str = "") -> int:
    """Run the tests of single components."""
    artifacts.kafka(settings, say=progress.say)
    progress.say("component tests")
    if tests:
        return _pytest(settings, tests, seconds=COMPONENTS_S)
    # They mostly wait; what has fixed addresses runs in one process (tests/support/scheduling.py).
    parallel = ("-n", str(SERVICES_AT_A_TIME), "--dist", "loadgroup")
    return _pytest(settings, "tests/components", "tests/mesh", "tests/system", *parallel, seconds=COMPONENTS_S)


def of_tests(settings: Settings, tests: str = "") -> Settings:
    """
    Return the settings of the stack for *tests*: a folder in the state, another port, another network.

    Its profile is the one that they are about, whichever the settings' own stack has.
    """
    port = settings_module.integer(os.environ, "TEST_PORT", PORT, 1024, settings_module.HIGHEST_PORT)
    network = NETWORK if port == PORT else settings_module.network_of(port)
    differing = (f"STATE={settings.state_of_tests}", f"PORT={port}", f"NETWORK={network}", f"TOOLS={settings.tools}")
    return dataclasses.replace(
        settings,
        state=settings.state_of_tests,
        port=port,
        network=network,
        profile=HA if tests.startswith(TESTS_OF_HA) else SMALL,
        differing=differing,
    )


def integration(own: Settings, progress: Progress, tests: str = "") -> int:
    """Run the tests of a whole stack, which is started for them and stopped after them."""
    clean_up(own, progress)
    try:
        up(own, progress)
        progress.say("integration tests")
        failed = _pytest(own, tests or "tests/integration", seconds=INTEGRATION_S)
        if failed or tests:
            return failed
        progress.say("resilience tests")
        failed = _pytest(own, "tests/resilience", seconds=RESILIENCE_S)
        if failed:
            return failed
        progress.say(f"browser tests; screenshots are in {own.state}/screenshots")
        return _pytest(own, "tests/browser", seconds=BROWSER_S)
    finally:
        clean_up(own, progress)


def clean_up(own: Settings, progress: Progress) -> None:
    """Stop the tests' stack and remove its data; its logs and screenshots are kept."""
    if state.exists(own):
        end.down(own, everything.steps(describe(own)), progress)
        clean.clean(own, keep=("log", "screenshots"))


def _pytest(settings: Settings, *words: str, seconds: int) -> int:
    command = [str(settings.venv / "bin" / "python"), "-m", "pytest", "-q", *words]
    variables = {**os.environ, **settings.environment()}
    tests = subprocess.Popen(command, cwd=settings.checkout, env=variables)
    try:
        return tests.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise StackError(f"{words[0]} took more than {seconds} s") from None
    finally:
        _interrupt(tests)


def _interrupt(tests: "subprocess.Popen[bytes]") -> None:
    """Interrupt running tests like Ctrl-C does, so that they clean up."""
    if tests.poll() is None:
        tests.send_signal(signal.SIGINT)
        try:
            tests.wait(timeout=INTERRUPT_S)
        except subprocess.TimeoutExpired:
            tests.kill()
