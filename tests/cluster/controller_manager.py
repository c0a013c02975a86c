"""
Kubernetes' controller manager as clusters run it: it elects a leader, and is started again when it exits.

It decides which nodes are ready by how long it has not heard of them. While the API server is silent it hears of none;
with leader election, which is the default, it then loses its lease, exits, and counts anew once it is back. One that
runs without takes every node for lost as soon as the API server answers again, and every pod with it.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

NAME = "kube-controller-manager"
WITHOUT = "--leader-elect=false"
STOPPED_S = 15
AGAIN_S = 1


@contextlib.contextmanager
def with_leader_election() -> Iterator[None]:
    """Have a controller manager of this machine that elects no leader elect one, for as long as this lasts."""
    found = _process()
    if found is None:
        yield
        return
    program, command = found.exe(), found.cmdline()
    files = _pid_files(command, found.pid)
    _stop(found)
    done = threading.Event()
    electing = [each for each in command if each != WITHOUT]
    thread = threading.Thread(target=_keep_running, args=(program, electing, done))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        again = _start(program, command)
        for file in files:
            file.write_text(f"{again.pid}\n")


def _process() -> psutil.Process | None:
    for each in psutil.process_iter(["cmdline"]):
        if {NAME, WITHOUT} <= set(each.info["cmdline"] or ()):
            return each
    return None


def _pid_files(command: list[str], pid: int) -> list[Path]:
    """Return the files beside its kubeconfig with its process id, by which whoever started it will stop it."""
    folders = [Path(each.partition("=")[2]).parent for each in command if each.startswith("--kubeconfig=")]
    return [file for folder in folders for file in folder.glob("*.pid") if file.read_text().strip() == str(pid)]


def _start(program: str, command: list[str]) -> psutil.Popen:
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    return psutil.Popen(command, executable=program, start_new_session=True, **streams)


def _keep_running(program: str, command: list[str], done: threading.Event) -> None:
    while not done.is_set():
        process = _start(program, command)
        while process.poll() is None and not done.wait(AGAIN_S):
            pass
        if process.poll() is None:
            _stop(process)
        done.wait(AGAIN_S)


def _stop(process: psutil.Process | psutil.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOPPED_S)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOPPED_S)
