"""
Runs experiments: `make chaos`, `make chaos-all`, `make chaos-random`.

On the one-machine stack; with ON=NAMESPACE/CONTEXT on the deployment in that namespace of kubectl's current context,
which must be that one.

    python -m chaos.lab run NAME [--seed N] [--dry-run]
    python -m chaos.lab all [--only PART] [--dry-run]
    python -m chaos.lab random [--seed N] [--minutes N] [--dry-run]
    python -m chaos.lab list | sweep

Exit codes: 0 passed, 1 a guarantee is violated, 2 an experiment could not be run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Sequence

import grpc

from chaos.commands import FaultNotMade
from chaos.lab import draw, report
from chaos.lab.actions import Scene
from chaos.lab.cluster.environment import Cluster
from chaos.lab.environment import Environment, refusals, shown
from chaos.lab.experiment import Experiment, WrongExperiment, load, names
from chaos.lab.one_machine import OneMachine
from chaos.lab.result import Result, table
from chaos.lab.runner import Runner
from stack import settings
from stack.errors import StackError
from stack.settings import CHECKOUT, Settings

ROLES = {"postgres-0": "leader", "postgres-1": "sync_standby"}


def main(words: Sequence[str]) -> int:
    """Run the command line's command and return the exit code."""
    options = _parser().parse_args(words)
    # As Ctrl-C, so that a run reverts its faults.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        chosen = settings.read(os.environ, checkout=CHECKOUT)
        return int(options.function(_environment(chosen), options))
    except (WrongExperiment, FaultNotMade, StackError) as error:
        print(f"chaos: {error}", file=sys.stderr)
    except grpc.aio.AioRpcError as error:
        print(f"chaos: the edge rejects the first call: {error.code().name}", file=sys.stderr)
    except KeyboardInterrupt:
        print("chaos: interrupted; all faults are reverted", file=sys.stderr)
    return 2


def _environment(chosen: Settings) -> Environment:
    """Return the stack, or the cluster that ON names; a KUBECONFIG alone chooses nothing."""
    on = os.environ.get("ON", "")
    if not on:
        return OneMachine(chosen)
    cluster = Cluster(chosen, on)
    print(f"chaos: faults go into {on}, namespace and context of kubectl", flush=True)
    return cluster


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.split("\n")[1])
    kinds = parser.add_subparsers(required=True)
    one = kinds.add_parser("run", help="run one experiment")
    one.add_argument("name", help=", ".join(names()))
    one.set_defaults(function=_one)
    every = kinds.add_parser("all", help="run every experiment, and write an index page")
    every.add_argument("--only", default="", help="only those whose names contain this; several separated by commas")
    every.set_defaults(function=_all)
    drawn = kinds.add_parser("random", help="run an experiment drawn from a seed")
    drawn.add_argument("--minutes", type=float, default=5.0)
    drawn.set_defaults(function=_random)
    for each in (one, every, drawn):
        each.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - repeatable, not secret
        each.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    kinds.add_parser("list", help="list the experiments").set_defaults(function=_list)
    kinds.add_parser("sweep", help="revert the faults that an earlier run has left").set_defaults(function=_sweep)
    return parser


def _one(environment: Environment, options: argparse.Namespace) -> int:
    experiment = load(options.name)
    if options.dry_run:
        return _dry(environment, experiment)
    return _code([_run(environment, experiment, options.seed, f"chaos EXPERIMENT={experiment.name}")])


def _all(environment: Environment, options: argparse.Namespace) -> int:
    wanted = [part for part in options.only.split(",") if part]
    experiments = [load(name) for name in names() if not wanted or any(part in name for part in wanted)]
    if not experiments:
        raise WrongExperiment(f"no experiment has {options.only!r} in its name; known are {', '.join(names())}")
    if options.dry_run:
        return max(_dry(environment, experiment) for experiment in experiments)
    results = []
    refused = {each.name: found for each in experiments if (found := refusals(environment, each))}
    for name, reasons in refused.items():
        print(f"left out, because it is not possible here: {name}: {'; '.join(reasons)}")
    experiments = [each for each in experiments if each.name not in refused]
    for number, experiment in enumerate(experiments, start=1):
        print(f"\n== {number} of {len(experiments)}: {experiment.name} ==", flush=True)
        results.append(_run(environment, experiment, options.seed, f"chaos EXPERIMENT={experiment.name}"))
    print(f"\n{_summary(results)}\nAll of them: file://{report.index(environment.reports)}")
    # A stack can run all of them, with the rights; a cluster never has every part of a stack.
    return _code(results) or (2 if refused and isinstance(environment, OneMachine) else 0)


def _random(environment: Environment, options: argparse.Namespace) -> int:
    experiment = draw.experiment(options.seed, options.minutes)
    print(f"seed {options.seed}: set SEED to this for the same load and the same faults")
    if options.dry_run:
        return _dry(environment, experiment)
    command = f"chaos-random SEED={options.seed} MINUTES={options.minutes:g}"
    return _code([_run(environment, experiment, options.seed, command)])


def _list(_environment: Environment, _options: argparse.Namespace) -> int:
    for name in names():
        print(f"{name:<32} {load(name).title}")
    return 0


def _sweep(environment: Environment, _options: argparse.Namespace) -> int:
    Runner(environment, print).sweep()
    return 0


def _run(environment: Environment, experiment: Experiment, seed: int, command: str) -> Result:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f}s] {text}", flush=True)

    runner = Runner(environment, say)
    result = runner.run(experiment, seed=seed, command=f"{environment.command(command)} ARGUMENTS='--seed {seed}'")
    path = report.write(result, runner.folder(result))
    report.index(environment.reports)
    print(f"\n{table(result)}\nThe whole run: file://{path}", flush=True)
    return result


def _dry(environment: Environment, experiment: Experiment) -> int:
    """Print what an experiment would do, as if postgres-0 were the leader."""
    print(f"{experiment.name}: {experiment.title}\n  {experiment.hypothesis}")
    print(f"  steady: {'; '.join(bound.describe() for bound in experiment.steady_state)}")
    for number, step in enumerate(experiment.method, start=1):
        print(f"  at {step.at_s:5.1f} s  {step.describe()}")
        if refusal := environment.refusal(step):
            print(f"             not possible here: {refusal}")
            continue
        try:
            fault = environment.fault(step, Scene(number, ROLES, CHECKOUT))
        except LookupError as error:
            print(f"             not possible now: {error}")
            continue
        for sign, command in (("+", fault.do), *(("-", command) for command in fault.undo)):
            print(f"             {sign} {shown(command)}" if command else "             + more customers")
    print(f"  abort: {'; '.join(bound.describe() for bound in experiment.abort)}")
    return 0


def _summary(results: Sequence[Result]) -> str:
    lines = [f"{'experiment':<38}{'verdict':<9}{'orders':>7}{'recovery':>10}{'silence':>9}{'broken':>8}"]
    for each in results:
        recovery = "never" if each.recovery_s is None else f"{each.recovery_s:.1f} s"
        broken = sum(len(verdict.broken) for verdict in each.verdicts)
        lines.append(
            f"{each.experiment.name:<38}{'passed' if each.passed else 'FAILED':<9}{each.placed:>7}"
            f"{recovery:>10}{each.silence_s:>7.1f} s{broken:>8}"
        )
    return "\n".join(lines)


def _code(results: Sequence[Result]) -> int:
    """Return 2 if an experiment could not be completed, 1 if a guarantee is violated, else 0."""
    if any(verdict.broken for result in results for verdict in result.verdicts):
        return 1
    return 0 if all(result.passed for result in results) else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
