"""
`make mutation`: mutates the core, module by module, and reports how many mutants its tests detect.

Results are cached in the state folder by what they depend on - the mutant and the files of its tests -, so that the
next run tries only what has changed. A run ends after an hour; the next one continues.
"""

import argparse
import hashlib
import json
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from stack.run import state
from stack.settings import Settings
from tools.mutation import heart, library, mutants, trial
from tools.mutation.mutants import Mutant

MAX_RUN_S = 3600.0
LEAST_TRIAL_S = 20.0
GOAL = 0.9
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
        """Return the share of killed mutants among those that count."""
        counted = self.killed + len(self.survivors)
        return self.killed / counted if counted else 1.0


class Results:
    """The results of earlier runs, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, bool] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, key: str) -> bool | None:
        """Return whether the mutant was killed, None if it was not tried."""
        return self._known.get(key)

    def put(self, key: str, killed: bool) -> None:
        """Store a result immediately: a run may be interrupted."""
        self._known[key] = killed
        self._path.write_text(json.dumps(self._known))


@dataclass
class Trials:
    """One run over the core."""

    checkout: Path
    results: Results
    accepted: set[tuple[str, str, str]]
    ends_at: float
    sample: int
    draw: random.Random

    def score(self, module: str, path: Path, tests: str, found: list[Mutant], stand_in: str = "") -> Score:
        """Try the untried mutants of *path*, in place of *stand_in* or the module itself."""
        score = Score(module)
        depends = digest([path.read_text(), *(each.read_text() for each in files_of(self.checkout / tests))])
        chosen = self.draw.sample(found, self.sample) if 0 < self.sample < len(found) else found
        within_s = self._patience(tests) if chosen else 0.0
        for mutant in chosen:
            if (module, mutant.line, mutant.becomes) in self.accepted:
                score.accepted += 1
                continue
            killed = self._killed(digest([depends, mutant.source]), mutant, path, tests, stand_in, within_s)
            if killed is None:
                score.untried += 1
            elif killed:
                score.killed += 1
            else:
                score.survivors.append(mutant)
        return score

    def _patience(self, tests: str) -> float:
        began = time.monotonic()
        if not trial.passes(None, tests, within_s=600):
            raise SystemExit(f"{tests} fails without any mutant")
        return max(LEAST_TRIAL_S, 4 * (time.monotonic() - began))

    def _killed(self, key: str, mutant: Mutant, path: Path, tests: str, stand_in: str, within_s: float) -> bool | None:
        known = self.results.get(key)
        if known is not None or time.monotonic() > self.ends_at:
            return known
        if stand_in:
            source = (self.checkout / f"{stand_in.replace('.', '/')}.py").read_text()
            instead = trial.Instead(stand_in, path, source + SCRIPT_INSTEAD.format(name=path.name, text=mutant.source))
        else:
            instead = trial.Instead(mutant.module, path, mutant.source)
        killed = not trial.passes(instead, tests, within_s=within_s)
        self.results.put(key, killed)
        return killed


# Added to the module that reads the scripts: one of them is another text.
SCRIPT_INSTEAD = """

_real_files = _files


def _files():
    from types import SimpleNamespace

    other = SimpleNamespace(name={name!r}, read_text=lambda: {text!r})
    return [other if path.name == {name!r} else path for path in _real_files()]
"""


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Mutate the modules that MODULES selects, or all; return 1 if too many survive."""
    library.install(settings)
    trial.prepare()
    seed = random.randrange(10_000)  # noqa: S311 - a sample, not a secret
    state.claim(settings)
    folder = settings.state / "mutation"
    folder.mkdir(parents=True, exist_ok=True)
    trials = Trials(
        settings.checkout,
        Results(folder / "results.json"),
        accepted(ACCEPTED),
        time.monotonic() + MAX_RUN_S,
        int(options.sample or 0),
        random.Random(seed),  # noqa: S311 - as above
    )
    print(f"seed {seed}" if trials.sample else "every mutant", flush=True)
    scores = [tell(score) for score in all_scores(trials, options.modules or "")]
    return int(any(each.share < GOAL or each.untried for each in scores))


def all_scores(trials: Trials, wanted: str) -> Iterable[Score]:
    """Yield the score of each module and script whose name contains *wanted*."""
    for module, tests in heart.MODULES.items():
        if wanted in module:
            path = trials.checkout / f"{module.replace('.', '/')}.py"
            yield trials.score(module, path, tests, mutants.of_python(module, path.read_text()))
    for path in sorted((trials.checkout / heart.LUA_FOLDER).glob("*.lua")):
        module = f"{heart.LUA_FOLDER}/{path.name}"
        if wanted in module:
            found = mutants.of_lua(module, path.read_text())
            yield trials.score(module, path, heart.SCRIPTS, found, stand_in=heart.LUA_LOADER)


def tell(score: Score) -> Score:
    """Print a module's score, followed by its survivors."""
    print(
        f"{score.module:36} {score.share:4.0%}  killed {score.killed}  survived {len(score.survivors)}  "
        f"accepted {score.accepted}  not tried {score.untried}",
        flush=True,
    )
    for each in score.survivors:
        print(f"    {each.number}: {each.line}\n        -> {each.becomes}", flush=True)
    return score


def accepted(path: Path) -> set[tuple[str, str, str]]:
    """Return the accepted survivors; the file has a reason for each."""
    entries = yaml.safe_load(path.read_text()) or []
    return {(each["module"], each["line"], each["becomes"]) for each in entries if each["reason"]}


def files_of(tests: Path) -> list[Path]:
    """Return the files of a folder of tests, or the one file."""
    return sorted(tests.rglob("*.py")) if tests.is_dir() else [tests]


def digest(texts: Iterable[str]) -> str:
    """Return a hash of *texts*."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
