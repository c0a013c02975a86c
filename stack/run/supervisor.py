"""
supervisord: its configuration, its start, and its RPC interface.
"""

import configparser
import io
import os
import shlex
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from stack.errors import StackError
from stack.run import cgroups
from stack.settings import Settings
from stack.topology.processes import Process

LOG_BYTES = 10 * 1024 * 1024
LOG_BACKUPS = 2
# Each retry waits a second longer than the last, so supervisord gives a process up after more than an hour.
START_RETRIES = 100
START_S = 15
# supervisord kills what does not exit in its own time, which is half a minute at most.
STOP_S = 45
POLL_S = 0.1
DOWN = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")
# The variables of the environment of `make up` that children inherit; all others are set for each process.
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "OTEL_EXPORTER_OTLP_ENDPOINT")


class SupervisorFailed(StackError):
    """supervisord is not running or refuses the request; the message has the path of its log."""


def render(settings: Settings, processes: Sequence[Process], *, in_cgroups: Path | None = None) -> str:
    """
    Return supervisord.conf, in which every process is restarted unless it was stopped on purpose.

    *in_cgroups* is the folder for a cgroup of each process, where cgroups are available.
    """
    # supervisord expands %(…)s, so percent signs are doubled; it takes ; after a space as the start of a comment.
    written = configparser.RawConfigParser()
    written.read_dict(_sections(settings, processes, in_cgroups))
    text = io.StringIO()
    written.write(text, space_around_delimiters=False)
    return text.getvalue()


def _sections(settings: Settings, processes: Sequence[Process], cgroup: Path | None) -> dict[str, dict[str, str]]:
    return {
        "unix_http_server": {"file": str(socket(settings)), "chmod": "0700"},
        "supervisord": _daemon(settings),
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        },
        "eventlistener:restarts": _listener(settings),
        **{f"program:{process.name}": _program(settings, process, cgroup) for process in processes},
    }


def _daemon(settings: Settings) -> dict[str, str]:
    return {
        **({"user": "root"} if os.geteuid() == 0 else {}),
        "identifier": f"order-system-{settings.network}",
        "pidfile": _escape(str(pid_file(settings))),
        "logfile": _escape(f"{settings.log}/supervisord.log"),
        "logfile_maxbytes": str(LOG_BYTES),
        "logfile_backups": str(LOG_BACKUPS),
        "childlogdir": _escape(str(settings.log)),
        "minfds": "4096",
        "umask": "022",
    }


def _listener(settings: Settings) -> dict[str, str]:
    """Return the event listener that counts unexpected exits."""
    python = str(settings.venv / "bin" / "python")
    return {
        "command": _command_line([python, "-m", "stack.run.restarts", str(restarts_file(settings))]),
        "directory": _escape(str(settings.checkout)),
        "events": "PROCESS_STATE_EXITED,PROCESS_STATE_BACKOFF",
        "autorestart": "true",
        "stderr_logfile": _escape(f"{settings.log}/restarts.log"),
        "stderr_logfile_maxbytes": str(LOG_BYTES),
        "stderr_logfile_backups": str(LOG_BACKUPS),
    }


def _program(settings: Settings, process: Process, cgroup: Path | None) -> dict[str, str]:
    command, user = process.command, process.user
    if cgroup is not None:
        command, user = cgroups.entered(command, cgroup / process.name, user), None
    variables = ",".join(f'{name}="{_escape(value)}"' for name, value in sorted(process.environment.items()))
    return {
        "command": _command_line(command),
        "directory": _escape(str(process.directory or settings.checkout)),
        **({"environment": variables} if variables else {}),
        **({"user": user} if user else {}),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": str(START_RETRIES),
        "stopwaitsecs": str(process.stop_s),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _escape(str(log_file(settings, process.name))),
        "stdout_logfile_maxbytes": str(LOG_BYTES),
        "stdout_logfile_backups": str(LOG_BACKUPS),
    }


def _command_line(words: Sequence[str]) -> str:
    """Quote words for supervisord, which splits them as a shell would."""
    return _escape(shlex.join(words))


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def socket(settings: Settings) -> Path:
    """Return the path of supervisord's socket."""
    return settings.run / "supervisor.sock"


def pid_file(settings: Settings) -> Path:
    """Return the path of supervisord's pid file."""
    return settings.run / "supervisord.pid"


def restarts_file(settings: Settings) -> Path:
    """Return the path of the restart counts."""
    return settings.run / "restarts.json"


def log_file(settings: Settings, name: str) -> Path:
    """Return the path of a process's log."""
    return settings.log / f"{name}.log"


def passed_on() -> dict[str, str]:
    """Return what every process of a stack inherits from the environment of `make up`."""
    return {"PYTHONUNBUFFERED": "1", **{name: os.environ[name] for name in PASSED_ON if name in os.environ}}


class Supervisor:
    """
    The RPC client of a stack's supervisord; thread-safe.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def runs(self) -> bool:
        """Return whether supervisord answers."""
        try:
            return bool(self._ask("getState")["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def launch(self) -> None:
        """
        Start supervisord in the background; raises `SupervisorFailed` after 15 s.
        """
        restarts_file(self._settings).unlink(missing_ok=True)
        program = self._settings.venv / "bin" / "supervisord"
        configuration = self._settings.conf / "supervisord.conf"
        done = subprocess.run(
            [program, "-c", configuration],
            env=passed_on(),
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        if done.returncode != 0:
            raise SupervisorFailed(f"supervisord did not start: {(done.stdout + done.stderr).strip()}")
        self._wait_until(self.runs, "did not answer", START_S)

    def reload(self) -> None:
        """
        Load a changed configuration: processes that changed are stopped, for the caller to start again.
        """
        added, changed, removed = self._ask("reloadConfig")[0]
        for name in (*changed, *removed):
            self._ask("stopProcessGroup", name)
            self._ask("removeProcessGroup", name)
        for name in (*added, *changed):
            self._ask("addProcessGroup", name)

    def start(self, name: str) -> None:
        """Start a process without waiting; one that is running is left alone."""
        self._ask_unless("ALREADY_STARTED", "startProcess", name, False)

    def stop(self, name: str, *, wait: bool) -> None:
        """Stop a process, and keep it down; with *wait*, return when it has exited."""
        # supervisord busy-loops while it waits itself, and takes a whole core from the running processes.
        self._ask_unless("NOT_RUNNING", "stopProcess", name, False)
        if wait:
            self._wait_until(lambda: self.is_down(name), f"could not stop {name}", STOP_S)

    def is_down(self, name: str) -> bool:
        """Return whether a process has exited and will not be restarted."""
        return self._ask("getProcessInfo", name)["statename"] in DOWN

    def info(self) -> dict[str, dict[str, Any]]:
        """Return what supervisord knows of each process, by name."""
        return {entry["name"]: entry for entry in self._ask("getAllProcessInfo")}

    def shut_down(self) -> None:
        """Stop supervisord and whatever still runs under it; return when it has exited."""
        pid = int(self._ask("getPID"))
        try:
            supervisord = psutil.Process(pid)
        except psutil.NoSuchProcess:
            return
        for name in self.info():
            # supervisord stops one group a second; removing the groups that are down already avoids that wait.
            with suppress(xmlrpc.client.Fault):
                self._ask("removeProcessGroup", name)
        self._ask("shutdown")
        supervisord.wait(timeout=90)

    def _ask(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{socket(self._settings)}")
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)

    def _ask_unless(self, harmless: str, method: str, *arguments: Any) -> None:
        try:
            self._ask(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith(harmless):
                raise SupervisorFailed(f"supervisord refuses {method} {arguments[0]}: {fault.faultString}") from fault

    def _wait_until(self, met: Callable[[], bool], complaint: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not met():
            if time.monotonic() > deadline:
                raise SupervisorFailed(f"supervisord {complaint}; see {self._settings.log}/supervisord.log")
            time.sleep(POLL_S)
