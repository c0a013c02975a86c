"""
`make run SVC=orders-0`: one process of a running stack in the terminal, in place of the supervised one.
"""

import argparse
import os
import subprocess
import sys
from signal import SIGKILL, SIGTERM

from stack.describe import describe
from stack.errors import StackError
from stack.progress import Progress
from stack.run import members, supervisor
from stack.run.running import require_running
from stack.run.start import Starter
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology import system
from stack.topology.processes import Process


class NotOne(StackError):
    """SVC must name one process that runs as the current user; the message lists the candidates."""


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """
    Stop the supervised process, run it here until it exits or is interrupted, start the supervised one again; return
    the exit code.
    """
    process = _one(system.named(system.processes(system.steps(describe(chosen))), options.service))
    require_running(chosen)
    under = Supervisor(chosen)
    under.stop(process.name, wait=True)
    print(
        f"{process.name}: the supervised process is stopped; Ctrl-C ends this one and starts it again", file=sys.stderr
    )
    try:
        return attend(process, environment(chosen, process), directory=process.directory or chosen.checkout)
    finally:
        Starter(settings=chosen, supervisor=under, progress=Progress()).run({process.name: process})


def environment(settings: Settings, process: Process) -> dict[str, str]:
    """
    Return the environment of the supervised process plus the terminal's variables and the markers by which processes
    of the stack are found.
    """
    known_by = {
        members.SUPERVISED_BY: members.address(settings),
        members.SUPERVISED_AS: process.name,
    }
    return {**os.environ, **supervisor.passed_on(), **process.environment, **known_by}


def attend(process: Process, environment: dict[str, str], *, directory: os.PathLike[str]) -> int:
    """
    Run a process until it exits; return its exit code.

    Ctrl-C in a terminal reaches the process directly; a signal sent to this command alone is forwarded.
    """
    with subprocess.Popen(process.command, env=environment, cwd=directory) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            return end(child, process.stop_s)


def end(child: "subprocess.Popen[bytes]", seconds: float) -> int:
    """Terminate a child, and kill it after *seconds*; return its exit code."""
    child.send_signal(SIGTERM)
    try:
        return child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(SIGKILL)
        return child.wait()


def _one(processes: list[Process]) -> Process:
    if len(processes) != 1:
        raise NotOne(
            f"SVC names several processes; choose one: {', '.join(f'SVC={process.name}' for process in processes)}"
        )
    if processes[0].user is not None:
        raise NotOne(f"{processes[0].name} runs as the user {processes[0].user}, not as the current user")
    return processes[0]
