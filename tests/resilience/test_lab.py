"""The lab itself on a real stack: a complete experiment, and the state after its runner is killed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from chaos.lab.act import applied, apply_mesh, bring_mesh_back
from chaos.lab.experiment import FOLDER
from tests.integration.conftest import CHECKOUT, RECOVERY_LIMIT_S, eventually

FAULT = CHECKOUT / "chaos" / "faults" / "inventory-delay.yaml"


@pytest.fixture
def short(tmp_path):
    """Write an experiment of a second, with a few customers."""
    document = yaml.safe_load((FOLDER / "inventory-replica-killed.yaml").read_text())
    document["method"][0]["for_s"] = 1
    document["load"] = {"customers": 3}
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def lab(stack):
    environment = {**os.environ, **stack.settings.environment()}
    words = [sys.executable, "-m", "chaos.lab"]
    return lambda *further, **how: subprocess.Popen([*words, *further], cwd=CHECKOUT, env=environment, **how)


async def test_an_experiment_passes_and_leaves_its_page_history_and_verdict(stack, lab, short):
    process = lab("run", str(short), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output, _ = await asyncio.to_thread(process.communicate, timeout=200)
    assert process.returncode == 0, output
    assert "short: PASSED" in output
    [folder] = stack.settings.reports.glob("short-*")
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["passed"]
    assert verdict["recovery_s"] < RECOVERY_LIMIT_S
    assert verdict["faults"][0]["fault"] == "kill inventory-0"
    assert "<svg" in (folder / "report.html").read_text()
    calls = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert {call["type"] for call in calls} >= {"invoked", "ok"}


async def test_faults_of_a_killed_runner_are_reverted_and_only_one_runs_at_a_time(stack, lab):
    process = lab("run", "inventory-replica-killed", stdout=subprocess.PIPE, text=True)
    try:
        while "kill inventory-0, for" not in (line := await asyncio.to_thread(process.stdout.readline)):
            assert line, "the runner has ended"
        second = lab("run", "inventory-gone", stderr=subprocess.PIPE, text=True)
        _, refused = await asyncio.to_thread(second.communicate, timeout=60)
        assert second.returncode == 2
        assert "another command is changing the chaos" in refused
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    began = time.monotonic()

    async def is_back():
        # It fails while any part is unhealthy.
        with contextlib.suppress(AssertionError):
            return await asyncio.to_thread(stack.make, "status")
        return ""

    await eventually(is_back, within_s=60)
    print(f"back after {time.monotonic() - began:.1f} s")


async def test_an_earlier_fault_of_the_user_is_restored_byte_for_byte(stack, tmp_path):
    chosen = stack.settings
    mine = tmp_path / "mine.yaml"
    mine.write_text(FAULT.read_text().replace("fixedDelay: 1s", "fixedDelay: 7s"))
    await asyncio.to_thread(stack.make, "mesh-apply", FILE=mine)
    try:
        before = applied(chosen, mine).read_bytes()
        kept = str(tmp_path / "kept.yaml")
        await asyncio.to_thread(apply_mesh, chosen, str(FAULT), kept)
        assert applied(chosen, mine).read_bytes() != before
        await asyncio.to_thread(bring_mesh_back, chosen, str(FAULT), kept)
        assert applied(chosen, mine).read_bytes() == before
    finally:
        await asyncio.to_thread(stack.make, "mesh-delete", FILE=mine)
    await asyncio.to_thread(apply_mesh, chosen, str(FAULT), str(tmp_path / "other.yaml"))
    for _ in range(2):
        await asyncio.to_thread(bring_mesh_back, chosen, str(FAULT), str(tmp_path / "other.yaml"))
        assert applied(chosen, FAULT) is None
