"""However a run ends, its faults are reverted: by the run, by its watchdog, or by the next run."""

import asyncio
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from chaos.commands import FaultNotMade
from chaos.lab import faults, one_machine, watchdog
from chaos.lab import journal as journal_module
from chaos.lab.experiment import Step
from chaos.lab.faults import Faults
from chaos.lab.journal import Journal
from chaos.lab.one_machine import StackActions
from chaos.partition.filter import NotAllowed

TOUCH = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "PAUSE_S", 0)
    return Journal(tmp_path / "chaos")


def touch(path):
    return (sys.executable, "-c", TOUCH, str(path))


def appended(path, text):
    return (sys.executable, "-c", f"open({str(path)!r}, 'a').write({text!r})")


def test_faults_are_reverted_in_reverse_order(journal, tmp_path):
    lines = []
    for number in range(3):
        journal.note(number, f"fault {number}", [appended(tmp_path / "order", str(number))])
    assert journal.roll_back(lines.append) == []
    assert (tmp_path / "order").read_text() == "210"
    assert lines == ["reverted: fault 2", "reverted: fault 1", "reverted: fault 0"]
    assert journal.entries() == []


def test_a_fault_that_cannot_be_reverted_is_reported_and_stays_in_the_journal(journal, tmp_path):
    journal.note(0, "good", [touch(tmp_path / "good")])
    journal.note(1, "bad", [(sys.executable, "-c", "import sys; sys.exit('no such part')")])
    [problem] = journal.roll_back(lambda _: None)
    assert problem.startswith("bad: ")
    assert "no such part" in problem
    assert [entry.description for entry in journal.entries()] == ["bad"]
    assert (tmp_path / "good").exists()


def test_a_truncated_journal_entry_is_ignored(journal):
    (journal.folder / "fault-0001.json").write_text('{"description": "ki')
    assert journal.roll_back(lambda _: None) == []
    assert journal.entries() == []


RUNNER = """
import os, sys, time
from pathlib import Path
from chaos.lab import watchdog
from chaos.lab.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.beat()
touch = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
journal.note(0, "a fault", [[sys.executable, "-c", touch, sys.argv[2]]])
watchdog.start(journal, os.getpid())
print("broken", flush=True)
# Its lease never lapses, however busy the machine is: only its end is noticed.
for _ in range(60):
    journal.beat()
    time.sleep(1)
"""


def test_the_watchdog_reverts_the_faults_of_a_killed_runner(journal, tmp_path):
    healed = tmp_path / "healed"
    words = [sys.executable, "-c", RUNNER, str(journal.folder), str(healed)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout.readline() == "broken\n"
        assert not healed.exists()
        [its_watchdog] = psutil.Process(runner.pid).children()
        end = os.pidfd_open(its_watchdog.pid)
        runner.kill()
    assert select.select([end], [], [], 20)[0], "the watchdog has not ended"
    os.close(end)
    assert healed.exists()
    assert journal.entries() == []


def test_the_watchdog_reverts_the_faults_of_a_hanging_runner_and_reports_it(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "LEASE_S", -1)
    journal.beat()
    journal.note(0, "a fault", [touch(tmp_path / "healed")])
    assert watchdog.watch(psutil.Process(), journal) == 0
    assert (tmp_path / "healed").exists()
    assert watchdog.has_lapsed(journal)


class Here:
    """The part of a load that Faults needs: it can be increased."""

    def __init__(self):
        self.changes = []

    def more(self, factor):
        self.changes.append(factor)
        return lambda: self.changes.append("end")


@pytest.fixture
def made(monkeypatch):
    """Record commands instead of running them."""
    done = []

    async def run(*words):
        done.append(words[2:])
        if "orders-1" in words and "kill" in words:
            raise FaultNotMade("kill orders-1 did not happen: nothing runs")
        return ""

    monkeypatch.setattr(faults.commands, "run", run)
    return done


def faults_of(journal, load=None, **how):
    return Faults(journal, load or Here(), StackActions(list), clock=time.monotonic, say=lambda _: None, **how)


def kill(target, at_s=0.0, for_s=0.05):
    return Step(at_s, "kill", for_s, {"target": target})


async def test_a_fault_is_injected_on_time_reverted_and_shown_as_a_band(journal, made):
    these = faults_of(journal)
    await these.run([kill("redis", at_s=0.1), kill("orders-0")])
    assert made == [
        ("stack", "kill", "orders-0"),
        ("stack", "start", "orders-0"),
        ("stack", "kill", "redis"),
        ("stack", "start", "redis"),
    ]
    assert [band.description for band in these.bands] == ["kill orders-0", "kill redis"]
    assert all(0.05 <= band.end_s - band.begin_s < 5 for band in these.bands)
    assert journal.entries() == []


async def test_a_fault_that_cannot_be_injected_ends_the_run_and_active_faults_are_in_the_journal(journal, made):
    with pytest.raises(FaultNotMade, match="kill orders-1 did not happen"):
        await faults_of(journal).run([kill("redis", for_s=60), kill("orders-1", at_s=0.05)])
    assert made[-1] == ("stack", "start", "orders-1")
    assert [entry.description for entry in journal.entries()] == ["kill redis"]


async def test_a_random_fault_that_cannot_be_injected_is_skipped(journal, made):
    these = faults_of(journal, strict=False)
    await these.run([kill("orders-1"), Step(0, "kill", 0, {"target": "kafka"})])
    assert ("stack", "kill", "kafka") in made
    assert journal.entries() == []


async def test_an_interrupted_run_leaves_its_faults_in_the_journal(journal, made):
    running = asyncio.create_task(faults_of(journal).run([kill("redis", for_s=60)]))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [entry.undo for entry in journal.entries()] == [((sys.executable, "-m", "stack", "start", "redis"),)]


async def test_a_fault_is_reverted_before_it_is_injected_again(journal, made):
    await faults_of(journal).run([kill("redis", for_s=0.1), kill("redis", at_s=0.05)])
    assert [words[1] for words in made] == ["kill", "start", "kill", "start"]


def mesh(name, at_s=0.0, for_s=0.1):
    return Step(at_s, "mesh", for_s, {"file": f"chaos/faults/{name}.yaml"})


async def test_a_resource_of_the_mesh_is_put_back_before_the_next_fault_replaces_it(journal, made):
    """Otherwise the second's undo would apply the first again, after the first was undone."""
    await faults_of(journal).run([mesh("inventory-down"), mesh("inventory-delay", at_s=0.05)])
    assert [(words[1], Path(words[2]).stem) for words in made] == [
        ("mesh", "inventory-down"),
        ("mesh-back", "inventory-down"),
        ("mesh", "inventory-delay"),
        ("mesh-back", "inventory-delay"),
    ]


async def test_faults_of_two_hosts_overlap(journal, made):
    await faults_of(journal).run([mesh("inventory-down"), mesh("edge-abort-http", at_s=0.05)])
    assert [words[1] for words in made] == ["mesh", "mesh", "mesh-back", "mesh-back"]


async def test_a_file_that_is_not_there_is_a_fault_that_was_not_injected(journal, made):
    with pytest.raises(FaultNotMade, match=r"none\.yaml: No such file"):
        await faults_of(journal).run([mesh("none")])
    assert made == []


async def test_a_burst_adds_customers_for_its_duration(journal, made):
    load = Here()
    await faults_of(journal, load).run([Step(0, "burst", 0.01, {"factor": 3})])
    assert load.changes == [2, "end"]
    assert made == []


async def test_a_fault_held_by_a_command_lasts_its_whole_duration():
    fault = faults.Fault(
        "hold", (sys.executable, "-c", "import time; print('now in force', flush=True); time.sleep(60)"), holds=True
    )
    async with faults._held(fault):
        pass


async def test_a_command_that_ends_early_is_a_fault_that_was_not_injected():
    fault = faults.Fault("hold", (sys.executable, "-c", "import sys; sys.exit('needs root')"), holds=True)
    with pytest.raises(FaultNotMade, match="hold did not happen: needs root"):
        async with faults._held(fault):
            raise AssertionError("not in force")


async def test_a_partition_without_permission_leaves_nothing_to_revert(journal, monkeypatch):
    def refused():
        raise NotAllowed("cutting the network needs root")

    monkeypatch.setattr(one_machine, "program", refused)
    made = Faults(journal, None, StackActions(list), clock=time.monotonic, say=print)
    step = Step(0, "partition", 1, {"between": "orders", "and": "redis"})
    with pytest.raises(FaultNotMade, match="needs root"):
        await made.run([step])
    assert journal.entries() == []
