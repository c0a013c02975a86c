"""An experiment as defined in its file; the schema is `chaos/experiments/schema.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from chaos.lab.load import LoadPlan
from chaos.lab.resources import resource
from stack.errors import StackError

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
SCHEMA = FOLDER / "schema.json"


class WrongExperiment(Exception):
    """The file is not a valid experiment, or there is none of that name; the message says what is wrong where."""


@dataclass(frozen=True)
class Bound:
    """A condition on the healthy system: a probe or a PromQL expression, within bounds."""

    probe: str
    at_least: float | None = None
    at_most: float | None = None
    promql: str = ""

    def holds(self, value: float | None) -> bool:
        """Return whether *value* is within the bounds; a missing value is not."""
        if value is None:
            return False
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    def describe(self) -> str:
        """Return the condition as text."""
        low = "" if self.at_least is None else f" >= {self.at_least:g}"
        high = "" if self.at_most is None else f" <= {self.at_most:g}"
        return f"{self.promql or self.probe}{low}{high}"


@dataclass(frozen=True)
class Step:
    """A fault, injected *at_s* after the steady state was reached and reverted *for_s* later."""

    at_s: float
    action: str
    for_s: float = 0.0
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """Return the step as text."""
        words = [self.action, *(f"{key}={value}" for key, value in sorted(self.arguments.items()))]
        return " ".join(words) + (f" for {self.for_s:g} s" if self.for_s else "")


@dataclass(frozen=True)
class Experiment:
    """The faults, the effects that customers may see, and the time limit of the recovery."""

    name: str
    title: str
    hypothesis: str
    steady_state: Sequence[Bound]
    load: LoadPlan
    method: Sequence[Step]
    answers: frozenset[int]  # allowed responses to an order meanwhile; 0 is no response
    longest_silence_s: float
    expect: Sequence[Mapping[str, Any]]
    recovery_limit_s: float
    abort: Sequence[Bound]
    rollbacks: Sequence[str]
    strict: bool = True  # whether a fault that cannot be injected ends the run

    @property
    def seconds(self) -> float:
        """Return the duration of the method."""
        return max(step.at_s + step.for_s for step in self.method)


def names() -> list[str]:
    """Return the names of all experiments."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Experiment:
    """Return the experiment of this name or path; raises `WrongExperiment`."""
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise WrongExperiment(f"there is no experiment {name!r}; known are {', '.join(names())}")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise WrongExperiment(f"{path}: {error}") from error
    return parse(path.stem, document)


def parse(name: str, document: Any) -> Experiment:
    """
    Return the experiment defined by *document*.

    Raises `WrongExperiment` with every error and its path.
    """
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    problems = sorted(validator.iter_errors(document), key=lambda each: each.json_path)
    if problems:
        found = [f"{each.json_path}: {jsonschema.exceptions.best_match([each]).message}" for each in problems]
        raise WrongExperiment(f"{name}: {'; '.join(found)[:2000]}")
    if overlap := _overlap([_step(each) for each in document["method"]]):
        raise WrongExperiment(f"{name}: $.method: {overlap}")
    meanwhile = document["meanwhile"]
    return Experiment(
        name=name,
        title=document["title"],
        hypothesis=document["hypothesis"],
        steady_state=[_bound(each) for each in document["steady_state"]],
        load=_load(document.get("load", {})),
        method=[_step(each) for each in document["method"]],
        answers=frozenset(meanwhile["answers"]),
        longest_silence_s=meanwhile["longest_silence_s"],
        expect=document.get("expect", []),
        recovery_limit_s=document["recovery_limit_s"],
        abort=[_bound(each) for each in document["abort"]],
        rollbacks=document.get("rollbacks", []),
    )


def _overlap(method: Sequence[Step]) -> str:
    """
    Return which two faults would be in one Istio resource at a time, of which the mesh has one; empty if none would.
    """
    last: dict[str, Step] = {}
    for step in sorted((each for each in method if each.action == "mesh"), key=lambda each: each.at_s):
        file = step.arguments["file"]
        try:
            place = resource(file)
        except StackError as error:
            return str(error)
        earlier = last.get(place)
        if earlier and earlier.at_s + earlier.for_s > step.at_s:
            end_s = earlier.at_s + earlier.for_s
            return (
                f"{file} at {step.at_s:g} s would replace {earlier.arguments['file']}, which lasts until {end_s:g} s:"
                f" both are {place}; begin it when the other has ended, or put both faults into one file"
            )
        last[place] = step
    return ""


def _load(document: Mapping[str, Any]) -> LoadPlan:
    return LoadPlan(**{**document, "also": tuple(document.get("also", ()))})


def _bound(document: Mapping[str, Any]) -> Bound:
    return Bound(
        probe=document.get("probe", "promql"),
        at_least=document.get("at_least"),
        at_most=document.get("at_most"),
        promql=document.get("promql", ""),
    )


def _step(document: Mapping[str, Any]) -> Step:
    arguments = {key: value for key, value in document.items() if key not in ("at_s", "action", "for_s")}
    return Step(document["at_s"], document["action"], document.get("for_s", 0.0), arguments)
