"""The commands as a person types them, on a foreign folder and on a stopped stack."""

import os
import subprocess
import sys

import pytest

from runtime.broken_pipe import READER_GONE
from stack import __main__ as commands
from stack import settings as stack_settings
from stack.commands import programs, status
from stack.run import members, state
from stack.run.health import Health
from stack.settings import CHECKOUT

LOOKING = {
    "status": [],
    "slo": [],
    "logs": [],
    "token": ["ana"],
    "breakers": [],
    "mesh-dump": ["orders"],
    "proxy-status": [],
    "proxy-config": ["clusters", "orders"],
    "mesh-diff": ["chaos/faults/inventory-delay.yaml"],
    "mesh-apply": ["chaos/faults/inventory-delay.yaml"],
    "mesh-delete": ["chaos/faults/inventory-delay.yaml"],
    "demo": [],
    "order": ["orders/00000000-0000-5000-8000-000000000000"],
    "reconcile": [],
    "redrive": [],
    "messages": ["pending_orders"],
    "soak": [],
    "stop": ["orders"],
    "start": ["orders"],
    "restart": ["orders"],
    "kill": ["orders"],
    "run": ["orders-0"],
    "sidecar": ["subscriptions"],
    "example": [],
    "hostile": [],
}


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run one command in this process with STATE=`home`; return its exit code and output."""

    def never(*words):
        raise AssertionError(f"it became another program: {words}")

    for name in ("execve", "execvp", "execv"):
        monkeypatch.setattr(os, name, never)
    # Scanning every process of the machine is slow, and none is this stack's.
    monkeypatch.setattr(members, "of_stack", lambda _: [])
    monkeypatch.setattr(commands.signal, "signal", lambda *_: None)
    monkeypatch.setenv("STATE", str(tmp_path / "home"))
    monkeypatch.setenv("PORT", "9391")
    monkeypatch.delenv("NETWORK", raising=False)

    def command(*words):
        code = commands.main(words)
        output = capsys.readouterr()
        return code, output.out + output.err

    return command


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("command", LOOKING)
def test_a_command_on_a_foreign_folder_changes_nothing_and_fails_with_one_sentence(run, tmp_path, command):
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "data" / "thesis.tex").write_text("mine")
    before = tree(home)
    code, output = run(command, *LOOKING[command])
    assert code == 1
    assert "there is no stack in STATE=" in output
    assert len(output.splitlines()) == 1
    assert tree(home) == before


@pytest.mark.parametrize("command", LOOKING)
def test_a_command_on_a_missing_folder_does_not_create_it(run, tmp_path, command):
    assert run(command, *LOOKING[command])[0] == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("command", sorted(LOOKING.keys() - {"logs"}))
def test_a_command_on_a_stopped_stack_fails_and_shows_how_to_start_it(run, tmp_path, command):
    state.claim(stack_settings.read(os.environ, checkout=CHECKOUT))
    before = tree(tmp_path / "home")
    code, output = run(command, *LOOKING[command])
    assert code == 1
    assert "nothing runs in" in output
    assert f"`make up PORT=9391 STATE={tmp_path}/home`" in output
    assert len(output.splitlines()) == 1
    assert tree(tmp_path / "home") == before


def test_a_soak_on_a_stack_of_which_a_part_is_away_names_it_and_does_not_begin(run, monkeypatch):
    state.claim(stack_settings.read(os.environ, checkout=CHECKOUT))
    monkeypatch.setattr(programs, "require_running", lambda _: None)
    infos = {"kafka-0": {"statename": "STOPPED"}, "redis-0": {"statename": "RUNNING"}}
    monkeypatch.setattr(status.Supervisor, "info", lambda _: infos)
    monkeypatch.setattr(status.health, "ask", lambda _: Health(True, "healthy"))
    code, output = run("soak")
    assert code == 1
    assert "kafka-0 (stopped)" in output
    assert "redis-0 (" not in output
    assert len(output.splitlines()) == 1


def test_down_on_a_foreign_folder_changes_nothing(run, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    before = tree(tmp_path / "home")
    assert run("down") == (0, f"Nothing ran: there is no stack in STATE={tmp_path}/home.\n")
    assert tree(tmp_path / "home") == before


def test_up_refuses_a_foreign_folder(run, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    before = tree(tmp_path / "home")
    code, output = run("up")
    assert code == 1
    assert "is neither empty nor a stack's folder (it holds thesis.tex)" in output
    assert tree(tmp_path / "home") == before


def test_a_closed_pipe_ends_a_command_silently(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "stack", "--help"],
            env={**os.environ, "STATE": str(tmp_path / "home"), "PORT": "9391", "PYTHONUNBUFFERED": ""},
            cwd=CHECKOUT,
            stdout=nobody,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (READER_GONE, b"")
