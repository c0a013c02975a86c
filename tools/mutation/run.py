"""
`make mutation`: mutates the core, module by module, and reports how many mutants its tests detect.

Each mutant runs the tests that call the function which it changes, the fastest first, until one fails: unit tests,
then those on real stores. Results are cached in the state folder by what they depend on - the changed function and
the files of its tests -, so that the next run tries only what has changed. A run ends after an hour; the next one
continues.
"""

import argparse
import contextlib
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

from stack.run import state
from stack.settings import Settings
from tools.mutation import heart, library, mutants, trial
from tools.mutation.accepted import Accepted
from tools.mutation.mutants import Mutant
from tools.mutation.program import Change, change
from tools.mutation.results import Results, Suite, digest
from tools.mutation.worker import Worker

MAX_RUN_S = 3600.0
LEAST_TRIAL_S = 30.0
# Of a test's time when it was traced, which is longer than usual.
PATIENCE = 4
GOAL = 0.9
PAGE = "docs/mutation.md"
ACCEPTED = Path(__file__).with_name("accepted.yaml")


@dataclass
class Score:
    """The results of a module's mutants."""

    module: str
    killed: int = 0
    accepted: int = 0
    untried: int = 0
    survivors: list[Mutant] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Return the killed among those that count."""
        counted = self.killed + len(self.survivors)
        return self.killed / counted if counted else 1.0

    @property
    def mutants(self) -> int:
        """Return all of them."""
        return self.killed + self.accepted + self.untried + len(self.survivors)


@dataclass(frozen=True)
class Stage:
    """Tests, and the process that has collected them."""

    suite: Suite
    worker: Worker


@dataclass
class Trials:
    """One run over the core."""

    checkout: Path
    folder: Path
    workers: contextlib.ExitStack
    stores: bool
    accepted: Accepted
    ends_at: float
    sample: int
    draw: random.Random

    def score(self, module: str, found: list[Mutant]) -> Score:
        """Try the mutants that were not tried before."""
        score, results = Score(module), Results(self.folder / f"{module.replace('/', '.')}.json")
        for mutant in self.draw.sample(found, self.sample) if 0 < self.sample < len(found) else found:
            if mutant in self.accepted:
                score.accepted += 1
                continue
            killed = self._killed(results, mutant)
            if killed is None:
                score.untried += 1
            elif killed:
                score.killed += 1
            else:
                score.survivors.append(mutant)
        return score

    @cached_property
    def quick(self) -> Stage:
        """Return the tests that start nothing."""
        return self._stage(heart.UNIT, "reach-unit.json")

    @cached_property
    def slow(self) -> Stage:
        """Return those on real stores, which are only looked at for what the others let through."""
        return self._stage(heart.COMPONENTS, "reach-components.json")

    def _stage(self, tests: Sequence[str], kept: str) -> Stage:
        # Each suite has a process of its own: unit tests replace the clocks of the whole process.
        worker = self.workers.enter_context(contextlib.closing(Worker(tests)))
        return Stage(Suite.read(self.checkout, tests, self.folder / kept, worker), worker)

    def _killed(self, results: Results, mutant: Mutant) -> bool | None:
        """Return whether a test notices; None if the time was up before one could be tried."""
        killed = self._killed_by(results, mutant, self.quick)
        return self._killed_by(results, mutant, self.slow) if killed is False and self.stores else killed

    def _killed_by(self, results: Results, mutant: Mutant, stage: Stage) -> bool | None:
        suite = stage.suite
        key, names = self._tests(mutant, suite)
        if not names:
            return False
        known = results.get(key, names, suite)
        if known is not None or time.monotonic() > self.ends_at:
            return known
        killer = self._killer(mutant, names, stage)
        results.put(key, killer, names, suite)
        return killer != ""

    def _tests(self, mutant: Mutant, suite: Suite) -> tuple[str, list[str]]:
        """Return the name of the change, and the tests that reach it."""
        if mutant.module.endswith(".lua"):
            return digest([mutant.module, mutant.source]), suite.of_files(heart.SCRIPT_TESTS)
        path = heart.path_of(mutant.module)
        changed = self._change(mutant)
        if changed.at_import:
            return digest([mutant.module, mutant.source]), suite.of_module(path)
        key = digest([mutant.module, *(f"{name} {text}" for name, text in sorted(changed.own.items()))])
        return key, suite.of_functions(path, changed.own)

    def _change(self, mutant: Mutant) -> Change:
        path = self.checkout / heart.path_of(mutant.module)
        return change(path.read_text(), mutant.source, str(path))

    def _killer(self, mutant: Mutant, names: list[str], stage: Stage) -> str:
        within_s = max(LEAST_TRIAL_S, PATIENCE * stage.suite.seconds(names))
        if mutant.module.endswith(".lua"):
            return stage.worker.script_killer(Path(mutant.module).name, mutant.source, names, within_s)
        path, changed = heart.path_of(mutant.module), self._change(mutant)
        if not changed.at_import:
            killer = stage.worker.killer(path, changed, names, within_s)
            if killer is not None:
                return killer
        instead = trial.Instead(mutant.module, str(self.checkout / path), mutant.source)
        return trial.imported_anew(instead, names, within_s=within_s)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Mutate what MODULES names, or everything; 1 if too much survives."""
    library.install(settings)
    trial.prepare()
    state.claim(settings)
    folder = settings.state / "mutation"
    folder.mkdir(parents=True, exist_ok=True)
    seed = random.randrange(10_000)  # noqa: S311 - a sample, not a secret
    with contextlib.ExitStack() as workers:
        trials = Trials(
            settings.checkout,
            folder,
            workers,
            options.stores != "no",
            Accepted.read(ACCEPTED),
            time.monotonic() + MAX_RUN_S,
            int(options.sample or 0),
            random.Random(seed),  # noqa: S311 - as above
        )
        print(f"seed {seed}" if trials.sample else "every mutant", flush=True)
        scores = [report(score) for score in all_scores(trials, options.modules or "")]
    print(table(scores))
    if trials.stores and not (trials.sample or options.modules or any(each.untried for each in scores)):
        (settings.checkout / PAGE).write_text(page(scores, datetime.now(UTC).date()))
    return int(any(each.share < GOAL or each.untried for each in scores))


def all_scores(trials: Trials, wanted: str) -> Iterable[Score]:
    """Yield the score of each module and script whose name has *wanted* in it."""
    for module in heart.MODULES:
        if wanted in module:
            source = (trials.checkout / heart.path_of(module)).read_text()
            yield trials.score(module, mutants.of_python(module, source))
    for path in sorted((trials.checkout / heart.LUA_FOLDER).glob("*.lua")):
        module = f"{heart.LUA_FOLDER}/{path.name}"
        if wanted in module:
            yield trials.score(module, mutants.of_lua(module, path.read_text()))


def report(score: Score) -> Score:
    """Print a module's line, and its survivors below."""
    print(
        f"{score.module:36} {score.share:4.0%}  killed {score.killed}  survived {len(score.survivors)}  "
        f"accepted {score.accepted}  not tried {score.untried}",
        flush=True,
    )
    for each in score.survivors:
        print(f"    {each.number}: {each.line}\n        -> {each.becomes}", flush=True)
    return score


def page(scores: Iterable[Score], day: date) -> str:
    """Return the document of a complete run."""
    return f"""# Mutation testing of the core

`make mutation` of {day}: changes each function of the core in small ways, one at a time, and runs the unit and
component tests that call it. Detected are those that make a test fail, among all that are not accepted; what is
accepted and why is in `tools/mutation/accepted.yaml`, which modules are not of the core and why in
`tools/mutation/heart.py`. A complete run writes this page.

{table(scores)}
"""


def table(scores: Iterable[Score]) -> str:
    """Return the scores as a table for a document."""
    rows = ["| module | mutants | killed | accepted | survived | detected |", "|---|---:|---:|---:|---:|---:|"]
    for each in scores:
        counts = (each.mutants, each.killed, each.accepted, len(each.survivors))
        rows.append(f"| `{each.module}` | {' | '.join(map(str, counts))} | {each.share:.0%} |")
    return "\n".join(rows)
