"""Whatever ends a run, what it broke is put right: by itself, by its watchdog, or by the next."""

import asyncio
import subprocess
import sys
import time

import psutil
import pytest

from chaos.commands import FaultNotMade
from chaos.lab import faults, watchdog
from chaos.lab import journal as journal_module
from chaos.lab.experiment import Step
from chaos.lab.faults import Faults
from chaos.lab.journal import Journal
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


def test_the_latest_fault_is_put_right_first_and_then_forgotten(journal, tmp_path):
    said = []
    for number in range(3):
        journal.note(number, f"fault {number}", [appended(tmp_path / "order", str(number))])
    assert journal.roll_back(said.append) == []
    assert (tmp_path / "order").read_text() == "210"
    assert said == ["reverted: fault 2", "reverted: fault 1", "reverted: fault 0"]
    assert journal.entries() == []


def test_what_cannot_be_put_right_is_said_and_stays_for_the_next_run(journal, tmp_path):
    journal.note(0, "good", [touch(tmp_path / "good")])
    journal.note(1, "bad", [(sys.executable, "-c", "import sys; sys.exit('no such part')")])
    [problem] = journal.roll_back(lambda _: None)
    assert problem.startswith("bad: ")
    assert "no such part" in problem
    assert [entry.said for entry in journal.entries()] == ["bad"]
    assert (tmp_path / "good").exists()


def test_half_an_entry_is_of_a_fault_that_was_not_made(journal):
    (journal.folder / "fault-0001.json").write_text('{"said": "ki')
    assert journal.roll_back(lambda _: None) == []
    assert journal.entries() == []


RUNNER = """
import os, sys, time
from pathlib import Path
from chaos.lab import watchdog
from chaos.lab.journal import Journal
from chaos.partition.filter import NotAllowed
journal = Journal(Path(sys.argv[1]))
journal.beat()
touch = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
journal.note(0, "a fault", [[sys.executable, "-c", touch, sys.argv[2]]])
watchdog.start(journal, os.getpid())
print("broken", flush=True)
time.sleep(60)
"""


def test_the_watchdog_of_a_runner_that_is_killed_puts_right_what_it_broke(journal, tmp_path):
    healed = tmp_path / "healed"
    words = [sys.executable, "-c", RUNNER, str(journal.folder), str(healed)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout.readline() == "broken\n"
        assert not healed.exists()
        runner.kill()
    end = time.monotonic() + 20
    while journal.entries() and time.monotonic() < end:
        time.sleep(0.05)
    assert healed.exists()
    assert journal.entries() == []


def test_the_watchdog_of_a_runner_that_is_silent_takes_the_faults_back_and_says_so(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "LEASE_S", -1)
    journal.beat()
    journal.note(0, "a fault", [touch(tmp_path / "healed")])
    assert watchdog.watch(psutil.Process(), journal) == 0
    assert (tmp_path / "healed").exists()
    assert watchdog.has_lapsed(journal)


class Here:
    """What Faults needs of a load: it is asked for more."""

    def __init__(self):
        self.asked = []

    def more(self, factor):
        self.asked.append(factor)
        return lambda: self.asked.append("end")


@pytest.fixture
def made(monkeypatch):
    """What commands were run instead of being run."""
    done = []

    async def run(*words):
        done.append(words[2:])
        if "orders-1" in words and "kill" in words:
            raise FaultNotMade("kill orders-1 did not happen: nothing runs")
        return ""

    monkeypatch.setattr(faults.commands, "run", run)
    return done


def faults_of(journal, load=None, **how):
    return Faults(journal, load or Here(), [], clock=time.monotonic, say=lambda _: None, **how)


def kill(target, at_s=0.0, for_s=0.05):
    return Step(at_s, "kill", for_s, {"target": target})


async def test_a_fault_is_made_at_its_time_and_taken_back_and_has_a_band(journal, made):
    these = faults_of(journal)
    await these.run([kill("redis", at_s=0.1), kill("orders-0")])
    assert made == [
        ("stack", "kill", "orders-0"),
        ("stack", "start", "orders-0"),
        ("stack", "kill", "redis"),
        ("stack", "start", "redis"),
    ]
    assert [band.said for band in these.bands] == ["kill orders-0", "kill redis"]
    assert all(0.05 <= band.end_s - band.begin_s < 5 for band in these.bands)
    assert journal.entries() == []


async def test_a_fault_that_cannot_be_made_ends_the_run_and_what_is_broken_is_in_the_journal(journal, made):
    with pytest.raises(FaultNotMade, match="kill orders-1 did not happen"):
        await faults_of(journal).run([kill("redis", for_s=60), kill("orders-1", at_s=0.05)])
    assert made[-1] == ("stack", "start", "orders-1")
    assert [entry.said for entry in journal.entries()] == ["kill redis"]


async def test_where_chance_draws_a_fault_that_cannot_be_made_is_left_out(journal, made):
    these = faults_of(journal, strict=False)
    await these.run([kill("orders-1"), Step(0, "kill", 0, {"target": "kafka"})])
    assert ("stack", "kill", "kafka") in made
    assert journal.entries() == []


async def test_a_run_that_is_broken_off_leaves_its_faults_in_the_journal(journal, made):
    running = asyncio.create_task(faults_of(journal).run([kill("redis", for_s=60)]))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [entry.undo for entry in journal.entries()] == [((sys.executable, "-m", "stack", "start", "redis"),)]


async def test_what_is_broken_is_put_right_before_it_breaks_again(journal, made):
    await faults_of(journal).run([kill("redis", for_s=0.1), kill("redis", at_s=0.05)])
    assert [words[1] for words in made] == ["kill", "start", "kill", "start"]


async def test_a_burst_is_more_customers_and_ends_with_its_time(journal, made):
    load = Here()
    await faults_of(journal, load).run([Step(0, "burst", 0.01, {"factor": 3})])
    assert load.asked == [2, "end"]
    assert made == []


async def test_a_command_that_holds_a_fault_is_in_force_before_its_time_begins_and_ends_after_it():
    fault = faults.Fault(
        "hold", (sys.executable, "-c", "import time; print('now in force', flush=True); time.sleep(60)"), holds=True
    )
    async with faults._held(fault):
        pass


async def test_a_command_that_should_hold_a_fault_and_ends_instead_is_a_fault_that_was_not_made():
    fault = faults.Fault("hold", (sys.executable, "-c", "import sys; sys.exit('needs root')"), holds=True)
    with pytest.raises(FaultNotMade, match="hold did not happen: needs root"):
        async with faults._held(fault):
            raise AssertionError("not in force")


async def test_who_may_not_cut_the_network_leaves_nothing_behind_that_has_to_be_healed(journal, monkeypatch):
    def refused():
        raise NotAllowed("cutting the network needs root")

    monkeypatch.setattr(faults, "program", refused)
    made = Faults(journal, None, [], clock=time.monotonic, say=print)
    step = Step(0, "partition", 1, {"between": "orders", "and": "redis"})
    with pytest.raises(FaultNotMade, match="needs root"):
        await made.run([step])
    assert journal.entries() == []
