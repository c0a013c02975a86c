"""A real supervisord with small processes follows its configuration."""

import argparse
import dataclasses
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from stack.commands import clean, foreground, status
from stack.commands.clean import NotClean
from stack.commands.foreground import NotOne
from stack.progress import Progress
from stack.run import cgroups, end, members, restarts, supervisor
from stack.run import state as stack_state
from stack.run.start import Starter, StartFailed
from stack.run.supervisor import Supervisor
from stack.topology.addresses import Endpoint
from stack.topology.checks import HttpCheck
from stack.topology.passwords import write_private
from stack.topology.processes import Process, Role, Task
from tests.support.waiting import wait_until

SOON_S = 10


def server(name, port, **changes):
    at = Endpoint("127.77.1.1", port)
    process = Process(
        name=name,
        service=name.partition("-")[0],
        role=Role.APPLICATION,
        command=(sys.executable, "-m", "http.server", "--bind", at.address, str(port)),
        check=HttpCheck(at, "/"),
        listens=(at,),
        start_s=15,
    )
    return dataclasses.replace(process, **changes)


@pytest.fixture
def running(settings, request):
    """Start a supervised pair of servers; stop everything afterwards."""
    stack_state.claim(settings)
    steps = {process.name: process for process in (server("web-0", 18181), server("web-1", 18182))}
    write_private(settings.conf / "supervisord.conf", supervisor.render(settings, list(steps.values())))
    under = Supervisor(settings)
    under.launch()
    starter = Starter(settings=settings, supervisor=under, progress=Progress())
    yield settings, starter, steps
    end.down(settings, steps, Progress())
    assert members.of_stack(settings) == []


def state(settings, name):
    return Supervisor(settings).info()[name]["statename"]


def pid(settings, name):
    return Supervisor(settings).info()[name]["pid"]


def test_a_killed_process_is_restarted_and_counted(running):
    settings, starter, steps = running
    starter.run(steps)
    first = pid(settings, "web-0")
    os.kill(first, signal.SIGKILL)
    wait_until(
        lambda: pid(settings, "web-0") not in (0, first) and state(settings, "web-0") == "RUNNING", within_s=SOON_S
    )
    wait_until(lambda: restarts.load(supervisor.restarts_file(settings)) == {"web-0": 1}, within_s=SOON_S)


def test_kill_keeps_every_replica_down_until_it_is_started(running):
    settings, starter, steps = running
    starter.run(steps)
    killed = end.kill(settings, ["web-0", "web-1"])
    assert len(killed) >= 2
    assert not any(psutil.pid_exists(each) for each in killed)
    time.sleep(1.5)
    assert {state(settings, name) for name in steps} == {"STOPPED"}
    starter.run(steps)
    assert {state(settings, name) for name in steps} == {"RUNNING"}


def test_a_stop_returns_when_the_process_has_ended_and_keeps_no_core_busy_until_then(settings):
    sleepy = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: time.sleep(3) or exit()); signal.pause()"
    steps = {"slow-0": server("slow-0", 18183, command=(sys.executable, "-c", sleepy))}
    stack_state.claim(settings)
    write_private(settings.conf / "supervisord.conf", supervisor.render(settings, list(steps.values())))
    under = Supervisor(settings)
    under.launch()
    try:
        under.start("slow-0")
        wait_until(lambda: state(settings, "slow-0") == "RUNNING", within_s=SOON_S)
        supervisord = psutil.Process(int(supervisor.pid_file(settings).read_text()))
        before = supervisord.cpu_times()
        under.stop("slow-0", wait=True)
        after = supervisord.cpu_times()
        assert state(settings, "slow-0") == "STOPPED"
    finally:
        end.down(settings, steps, Progress())
    spent = after.user + after.system - before.user - before.system
    assert spent < 0.5


def test_starting_a_running_process_changes_nothing(running):
    settings, starter, steps = running
    starter.run(steps)
    before = pid(settings, "web-1")
    starter.run(steps)
    assert pid(settings, "web-1") == before


def test_a_process_that_never_becomes_healthy_is_named_with_its_last_output(running):
    settings, starter, _ = running
    broken = server("web-0", 18183, start_s=2)
    with pytest.raises(StartFailed) as failed:
        starter.run({"web-0": broken})
    assert "web-0 is not healthy after 2 s" in str(failed.value)
    assert str(supervisor.log_file(settings, "web-0")) in str(failed.value)


def test_a_failed_task_is_named_with_its_last_output(running):
    _, starter, _ = running
    task = Task(name="prepare", command=(sys.executable, "-c", "raise SystemExit('no space left')"))
    with pytest.raises(StartFailed, match=r"prepare exited with 1\n  \| no space left"):
        starter.run({"prepare": task})


def test_a_task_beyond_its_time_limit_is_killed(running):
    _, starter, _ = running
    task = Task(name="prepare", command=(sys.executable, "-c", "import time; time.sleep(60)"), seconds=0.5)
    began = time.monotonic()
    with pytest.raises(StartFailed, match="prepare took too long"):
        starter.run({"prepare": task})
    assert time.monotonic() - began < 10


def test_orphans_of_the_supervisor_are_found_and_stopped(running):
    settings, starter, steps = running
    starter.run(steps)
    supervisord = psutil.Process(int(supervisor.pid_file(settings).read_text()))
    supervisord.kill()
    supervisord.wait(5)
    assert members.of_stack(settings)
    end.strays(settings, Progress())
    assert members.of_stack(settings) == []


def test_a_process_in_the_foreground_replaces_its_supervised_one_until_it_ends(running, monkeypatch):
    settings, starter, steps = running
    starter.run(steps)
    monkeypatch.setattr(foreground, "describe", lambda _: None)
    monkeypatch.setattr(foreground.system, "steps", lambda _: steps)
    twin, seen = pid(settings, "web-0"), {}

    def attend(process, environment, *, directory):
        seen["twin"] = state(settings, "web-0")
        seen["gone"] = not psutil.pid_exists(twin)
        child = subprocess.Popen(process.command, env=environment, cwd=directory)
        seen["known"] = wait_until(
            lambda: child.pid in {each.pid for each in members.of_stack(settings)}, within_s=SOON_S
        )
        child.kill()
        return child.wait()

    monkeypatch.setattr(foreground, "attend", attend)
    assert foreground.run(settings, argparse.Namespace(service="web-0")) == -signal.SIGKILL
    assert seen == {"twin": "STOPPED", "gone": True, "known": True}
    assert state(settings, "web-0") == "RUNNING"


def test_only_one_process_runs_in_the_foreground(running, monkeypatch):
    settings, _, steps = running
    monkeypatch.setattr(foreground, "describe", lambda _: None)
    monkeypatch.setattr(foreground.system, "steps", lambda _: steps)
    with pytest.raises(NotOne, match="choose one: SVC=web-0, SVC=web-1"):
        foreground.run(settings, argparse.Namespace(service="web"))


def test_processes_without_their_supervisor_are_reported(running, capsys):
    settings, starter, steps = running
    starter.run(steps)
    supervisord = psutil.Process(int(supervisor.pid_file(settings).read_text()))
    supervisord.kill()
    supervisord.wait(5)
    assert status.show(settings, list(steps.values())) is False
    output = capsys.readouterr().out
    assert "does not answer, but" in output.splitlines()[-1]
    assert "othing runs" not in output
    with pytest.raises(NotClean):
        clean.clean(settings)
    end.strays(settings, Progress())


def test_every_process_has_its_own_cgroup_and_down_removes_them(settings):
    mounted = cgroups.mount()
    if mounted is None:
        pytest.skip("cgroups need root, and version 2 mounted")
    stack_state.claim(settings)
    folder = cgroups.of_stack(settings, mounted)
    sleeper = server("db-0", 18183, command=("sleep", "60"), user="postgres", directory=settings.state.parent)
    steps = {process.name: process for process in (server("web-0", 18181), sleeper)}
    text = supervisor.render(settings, list(steps.values()), in_cgroups=folder)
    write_private(settings.conf / "supervisord.conf", text)
    under = Supervisor(settings)
    under.launch()
    try:
        for name in steps:
            under.start(name)
            wait_until(lambda name=name: state(settings, name) == "RUNNING", within_s=SOON_S)
            assert str(pid(settings, name)) in (folder / name / "cgroup.procs").read_text().split()
        assert psutil.Process(pid(settings, "db-0")).username() == "postgres"
        assert psutil.Process(pid(settings, "db-0")).name() == "sleep"
        end.kill(settings, ["web-0"])
        under.start("web-0")
        wait_until(
            lambda: (folder / "web-0" / "cgroup.procs").read_text().split() == [str(pid(settings, "web-0"))],
            within_s=SOON_S,
        )
    finally:
        end.down(settings, steps, Progress())
    assert not folder.exists()
