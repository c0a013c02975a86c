"""Experiments of chaos/experiments on the deployed system, as `make chaos ON=…` runs them, and a runner that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from images.catalogue import CHECKOUT
from k8s import ready
from k8s.kubectl import get, kubectl
from tests.cluster import pods
from tests.cluster.experiment import RECOVERY_LIMIT_S, settled

RUN_S = 400
pytestmark = pytest.mark.timeout(600)
# Short ones, of each kind of fault; k8s/README.md has the results of all.
EXPERIMENTS = (
    "inventory-gone",
    "inventory-replica-killed",
    "orders-replica-killed",
    "postgres-switchover",
    "postgres-primary-killed",
    "redis-emptied",
    "redis-frozen",
    "kafka-stopped",
    "orders-do-not-reach-inventory",
    "mesh-inventory-down",
    "mesh-edge-delay-one-customer",
    "burst-3",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Run the lab's command line on this cluster."""
    state = tmp_path_factory.mktemp("lab") / "state"
    environment = {**os.environ, "ON": ready.place(), "STATE": str(state)}

    def run(*words: str, **how):
        return subprocess.Popen(
            [sys.executable, "-m", "chaos.lab", *words], cwd=CHECKOUT, env=environment | how.pop("env", {}),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how,
        )  # fmt: skip

    run.state = state
    return run


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_passes_and_leaves_its_page(lab, facts, name):
    with lab("run", name) as process:
        output, _ = process.communicate(timeout=RUN_S)
    if "is not possible here: " in output and "only root on the node" in output:
        pytest.skip(output.strip())
    assert process.returncode == 0, output
    [folder] = (lab.state / "chaos").glob(f"*/{name}-lab*")
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["passed"]
    assert verdict["recovery_s"] < RECOVERY_LIMIT_S
    assert "<svg" in (folder / "report.html").read_text()
    facts.append(
        f"experiment {name}: {verdict['orders']} orders, {verdict['longest_silence_s']:.1f} s without one, "
        f"in the steady state {verdict['recovery_s']:.1f} s after the fault"
    )


async def test_the_faults_of_a_killed_runner_are_reverted(lab, facts):
    await settled()
    with lab("run", "inventory-stopped") as process:
        while "stop inventory, for" not in (line := process.stdout.readline()):
            assert line, "the runner has ended"
        assert size() == 0
        os.kill(process.pid, signal.SIGKILL)
    took_s = await pods.until(lambda: size() == 2, within_s=60, what="inventory has its size again")
    facts.append(f"the runner killed: its fault was reverted {took_s:.1f} s later")
    await settled()


def size() -> int:
    """Return how many replicas inventory is to have."""
    [found] = get("deployment", "inventory")
    return int(found["spec"]["replicas"])


@pytest.mark.parametrize("word", ["cluster", "other/context"])
def test_nothing_is_done_to_a_cluster_that_is_not_confirmed(lab, word):
    before = kubectl("get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}")
    with lab("run", "inventory-stopped", env={"ON": word}) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert f"ON={ready.place()} confirms it" in output
    assert kubectl("get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}") == before
