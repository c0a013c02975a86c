"""
`make example`: runs the steps of docs/internal-services.md, and reverts them.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack.commands.foreground import end, environment
from stack.commands.sidecar import instructions
from stack.describe import describe
from stack.errors import StackError
from stack.run import health
from stack.run.joined import joined
from stack.settings import Settings
from stack.topology.processes import Process
from stack.topology.workloads import translator

NAME = "subscriptions"
FOLDER = Path("examples") / NAME
START_S, POLL_S = 30.0, 0.1
COMMAND_S = 120


class ExampleFailed(StackError):
    """A step failed; the message says which."""


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Join the mesh, apply the access policy, place an order, leave; return the exit code of the service's program."""
    with joined(describe(chosen), NAME) as sidecar:
        print(f"$ {chosen.command('sidecar')} SVC={NAME}\n{instructions(sidecar, NAME)}", flush=True)
        with _running(chosen, sidecar), _admitted(chosen):
            print(f"\n$ ORDERS_ADDRESS={sidecar.listens[1]} python {FOLDER}/place_order.py", flush=True)
            return _call(
                (str(chosen.venv / "bin" / "python"), str(chosen.checkout / FOLDER / "place_order.py")),
                {"ORDERS_ADDRESS": str(sidecar.listens[1])},
            )


@contextmanager
def _running(settings: Settings, sidecar: Process) -> Iterator[None]:
    log = settings.log / f"{sidecar.name}.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            sidecar.command,
            env=environment(settings, sidecar),
            cwd=settings.checkout,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_ready(sidecar, child, log)
        yield
    finally:
        end(child, sidecar.stop_s)


def _wait_until_ready(sidecar: Process, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not health.ask(sidecar.check).good:
        if child.poll() is not None or time.monotonic() > deadline:
            raise ExampleFailed(f"the sidecar does not come up; {log} says why")
        time.sleep(POLL_S)


@contextmanager
def _admitted(settings: Settings) -> Iterator[None]:
    """Apply the policy that admits the service to orders, and delete it with the end of the block."""
    _mesh(settings, "apply")
    try:
        yield
    finally:
        _mesh(settings, "delete")


def _mesh(settings: Settings, action: str) -> None:
    print(f"\n$ {settings.command(f'mesh-{action}')} FILE={FOLDER}/access.yaml", flush=True)
    places = (f"--certificates={settings.secrets}/certificates", f"--out={settings.mesh}")
    command = translator(settings, action, *places, f"--file={settings.checkout / FOLDER}/access.yaml")
    if _call(command, {}) != 0:
        raise ExampleFailed(f"mesh-{action} failed")


def _call(command: Sequence[str], variables: dict[str, str]) -> int:
    try:
        return subprocess.run(command, env={**os.environ, **variables}, check=False, timeout=COMMAND_S).returncode
    except subprocess.TimeoutExpired:
        raise ExampleFailed(f"{' '.join(command)} has not ended within {COMMAND_S} s") from None
