"""
Starts processes and runs tasks, and waits until each is healthy or done.
"""

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event, Lock

from stack.errors import StackError
from stack.progress import Progress
from stack.run import health, restarts, room, supervisor
from stack.run.order import run_in_order
from stack.run.supervisor import Supervisor
from stack.settings import Settings
from stack.topology.processes import Process, Step, Task

POLL_S = 0.2
LOG_LINES = 15
# A process that exited this often while it was waited for is not going to become healthy.
MAX_ENDS = 5


class StartFailed(StackError):
    """A step failed; the message has its last log lines and the path of the log."""


@dataclass(kw_only=True)
class Starter:
    """
    One run of `make up` over the steps of a stack.
    """

    settings: Settings
    supervisor: Supervisor
    progress: Progress
    started: list[str] = field(default_factory=list)  # started by this run, and stopped again if it fails
    _lock: Lock = field(default_factory=Lock)

    def run(self, steps: Mapping[str, Step]) -> None:
        """Complete every step; raises `StartFailed` for the first that fails."""
        after = {name: frozenset(step.after & steps.keys()) for name, step in steps.items()}

        def work(name: str, give_up: Event) -> None:
            step = steps[name]
            if isinstance(step, Task):
                self._do(step, give_up)
            else:
                self._bring_up(step, give_up)

        run_in_order(after, work)

    def _bring_up(self, process: Process, give_up: Event) -> None:
        if give_up.is_set():
            return
        before = self.supervisor.info()[process.name]["statename"]
        if before not in ("STARTING", "RUNNING"):
            with self._lock:
                self.started.append(process.name)
            self.supervisor.start(process.name)
        word = self._wait_until_healthy(process, give_up)
        if word:
            self.progress.say(f"{process.name}: {word}{'' if before != 'RUNNING' else ' (already running)'}")

    def _wait_until_healthy(self, process: Process, give_up: Event) -> str:
        """Return the detail of its health check; empty if the wait was cancelled."""
        ends = self._ends(process)
        deadline = time.monotonic() + process.start_s
        while not give_up.is_set():
            answer = health.ask(process.check)
            state = self.supervisor.info()[process.name]["statename"]
            if answer.good and state == "RUNNING":
                return answer.word
            if state in ("FATAL", "STOPPED") or self._ends(process) >= ends + MAX_ENDS:
                raise self._failure(process.name, f"keeps exiting (supervisor state {state})")
            if time.monotonic() > deadline:
                raise self._failure(process.name, f"is not healthy after {process.start_s:.0f} s: {answer.word}")
            give_up.wait(POLL_S)
        return ""

    def _ends(self, process: Process) -> int:
        return restarts.load(supervisor.restarts_file(self.settings)).get(process.name, 0)

    def _do(self, task: Task, give_up: Event) -> None:
        if give_up.is_set() or (task.made is not None and task.made.exists()):
            return
        log = supervisor.log_file(self.settings, task.name)
        with (
            log.open("w") as output,
            subprocess.Popen(
                task.command,
                cwd=self.settings.checkout,
                env={**supervisor.passed_on(), **task.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as child,
        ):
            code = _wait(child, task.seconds, give_up)
        if give_up.is_set() and code != 0:
            return
        if code != 0:
            raise self._failure(task.name, "took too long" if code is None else f"exited with {code}")
        self.progress.say(f"{task.name}: done")

    def _failure(self, name: str, complaint: str) -> StartFailed:
        log = supervisor.log_file(self.settings, name)
        lines = [f"{name} {complaint}", *last_lines(log), f"The full log is {log}", *room.shortage(self.settings)]
        return StartFailed("\n".join(lines))


def last_lines(log: os.PathLike[str], count: int = LOG_LINES) -> list[str]:
    """Return the end of a log, at most 64 KiB; empty if there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65536))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [f"  | {line}" for line in text.splitlines()[-count:]]


def _wait(child: subprocess.Popen[bytes], seconds: float, give_up: Event) -> int | None:
    """Return the exit code, or None if the time limit was exceeded and the task was killed."""
    deadline = time.monotonic() + seconds
    while (code := child.poll()) is None:
        if time.monotonic() > deadline or give_up.is_set():
            child.kill()
            child.wait()
            return None
        time.sleep(0.05)
    return code
