"""Child processes of tests, and free ports."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


class Process:
    """A child process that is killed at the end of the test."""

    def __init__(self, command, log, **environment):
        self._command = [str(part) for part in command]
        self._log = Path(log)
        self._environment = {**os.environ, **environment}
        self._child = None

    def start(self):
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment, cwd=CHECKOUT)
        return self

    @property
    def alive(self):
        return self._child is not None and self._child.poll() is None

    def log(self):
        return self._log.read_text(errors="replace")

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def freeze(self):
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._child.send_signal(signal.SIGCONT)

    def _end(self, number):
        if self.alive:
            self._child.send_signal(number)
            try:
                self._child.wait(20)
            except subprocess.TimeoutExpired:
                self._child.send_signal(signal.SIGABRT)
                self._child.wait(5)
                raise


def own_host(service):
    """
    Return the address 127.42.SERVICE.N of this process of the tests, so that two of them never draw the same free port.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return f"127.42.{service}.{int(worker) + 1}"


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} was not there within {seconds} s"
        time.sleep(0.05)
