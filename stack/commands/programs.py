"""
Commands that exec another program, with the environment of this stack.
"""

import argparse
import os
from collections.abc import Mapping, Sequence

from stack.command_table import yes
from stack.commands import status
from stack.describe import describe
from stack.run import state
from stack.run.running import require_running
from stack.settings import Settings
from stack.topology import system
from stack.topology.workloads import issuer_environment, operator_environment

# What was started a moment ago may still become healthy.
HEALTHY_S = 8.0


def token(chosen: Settings, options: argparse.Namespace) -> int:
    """Print a token for a customer or an operator."""
    role = ["--operator"] if yes("OPERATOR", options.operator) else []
    # A stack that is not running has no issuer whose key anything would accept.
    require_running(chosen)
    return _become(chosen, ["gateway.issuer.token", options.customer, *role], issuer_environment(chosen))


def operate(chosen: Settings, options: argparse.Namespace) -> int:
    """Run an operator's command of the orders service, with the environment of its first replica."""
    plan = describe(chosen)
    require_running(chosen)
    return _become(chosen, ["orders_svc", options.command], operator_environment(plan))


def messages(chosen: Settings, options: argparse.Namespace) -> int:
    """Print the messages of a topic."""
    plan = describe(chosen)
    require_running(chosen)
    words = ["orders_svc.messages", options.topic, f"--order={options.order}"]
    words += [f"--last={options.last}"] if options.last else []
    words += ["--follow"] if yes("FOLLOW", options.follow) else []
    return _become(chosen, words, operator_environment(plan))


def soak(chosen: Settings, options: argparse.Namespace) -> int:
    """Place orders while processes are killed."""
    require_running(chosen)
    status.require_healthy(chosen, system.processes(system.steps(describe(chosen))), "a soak")
    return _become(chosen, ["chaos.soak", *options.further], chosen.environment())


def failover(chosen: Settings, options: argparse.Namespace) -> int:
    """Lose a part of a store under load."""
    require_running(chosen)
    status.require_healthy(chosen, system.processes(system.steps(describe(chosen))), "a failover", within_s=HEALTHY_S)
    words = [f"--{name}={value}" for name, value in (("how", options.how), ("part", options.part)) if value]
    return _become(chosen, ["chaos.failover", *words], chosen.environment())


def drill(chosen: Settings, options: argparse.Namespace) -> int:
    """Lose each store of a stack of its own for good, and bring the system back."""
    state.claim(chosen)
    record = ["--record"] if yes("RECORD", options.record) else []
    only = [f"--only={options.only}"] if options.only else []
    report = f"--report={chosen.state / 'drill.json'}"
    return _become(chosen, ["chaos.drill", report, *only, *record], chosen.of_drill().environment())


def hostile(chosen: Settings, options: argparse.Namespace) -> int:
    """Attack the stack while a regular client places orders."""
    require_running(chosen)
    return _become(chosen, ["chaos.hostile", *options.further], chosen.environment())


def chaos(chosen: Settings, options: argparse.Namespace) -> int:
    """Run one experiment."""
    return _lab(chosen, "run", options.experiment, *options.further)


def chaos_all(chosen: Settings, options: argparse.Namespace) -> int:
    """Run every experiment."""
    return _lab(chosen, "all", *options.further)


def chaos_random(chosen: Settings, options: argparse.Namespace) -> int:
    """Run an experiment drawn from a seed."""
    drawn = {"--seed": options.seed, "--minutes": options.minutes}
    return _lab(chosen, "random", *(f"{name}={value}" for name, value in drawn.items() if value), *options.further)


def _lab(chosen: Settings, *words: str) -> int:
    # With ON the experiment is for a cluster, and no stack runs here.
    if "--dry-run" not in words and not os.environ.get("ON"):
        require_running(chosen)
    return _become(chosen, ["chaos.lab", *words], chosen.environment())


def _become(chosen: Settings, words: Sequence[str], environment: Mapping[str, str]) -> int:
    python = str(chosen.venv / "bin" / "python")
    os.execve(python, [python, "-m", *words], os.environ | environment)
