"""Whether there are enough inotify instances to start a stack."""

import resource

import pytest

from stack.install import packages
from stack.run import watches
from stack.run.watches import TooFewWatches
from stack.topology import system


def test_every_envoy_counts(plan):
    everything = system.processes(system.steps(plan))
    envoys = [process for process in everything if process.name.endswith("-envoy") or process.name == "edge-0"]
    assert watches.needed(everything) == len(envoys) * watches.PER_ENVOY + watches.OTHERS


def test_running_stacks_need_no_further_instances():
    assert watches.needed([]) == 0


def test_probed_instances_are_released():
    for _ in range(50):
        watches.require(3, say=print)


def test_as_root_the_limit_is_raised_and_reported(monkeypatch, tmp_path):
    limit, lines = tmp_path / "limit", []
    limit.write_text("128\n")
    monkeypatch.setattr(watches, "LIMIT_FILE", limit)
    monkeypatch.setattr(watches, "_available", lambda most: (most if limit.read_text() != "128\n" else 3, "full"))
    monkeypatch.setattr(packages, "privilege", list)
    watches.require(80, say=lines.append)
    assert limit.read_text() == "448\n"
    assert "448 until the next boot (was 128)" in lines[0]


def test_too_few_instances_are_an_error_with_the_command_to_run(monkeypatch):
    monkeypatch.setattr(packages, "privilege", lambda: None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        # Instances are files, too: without free file descriptors there are none.
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        with pytest.raises(TooFewWatches, match=r"sysctl fs\.inotify\.max_user_instances=\d+"):
            watches.require(100, say=print)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
