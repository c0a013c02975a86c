"""The result of a run as a table, as JSON and for the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.guarantees import MAX_SHOWN, Verdict
from chaos.lab.experiment import Experiment
from chaos.lab.faults import Band
from chaos.lab.figures import restored_after_s
from chaos.lab.history import Call
from chaos.lab.samples import Sample

WIDTH = 46


@dataclass
class Result:
    """A run, from its first call to the last check."""

    experiment: Experiment
    seed: int
    run: str
    began_at: str
    versions: dict[str, str]
    command: str
    calls: Sequence[Call] = ()
    samples: Sequence[Sample] = ()
    lags: Sequence[tuple[float, float | None]] = ()
    bands: Sequence[Band] = ()
    verdicts: list[Verdict] = field(default_factory=list)
    recovery_s: float | None = None  # from the last fault's end until the steady state was reached again
    silence_s: float = 0.0
    aborted: str = ""  # why it was aborted

    @property
    def passed(self) -> bool:
        """Return whether there is no violation."""
        return not self.aborted and bool(self.verdicts) and not any(verdict.broken for verdict in self.verdicts)

    def restored_after_s(self, band: Band) -> float | None:
        """Return how long after the end of a fault service was restored; None if it never was."""
        return restored_after_s(self.calls, after_s=band.end_s)

    @property
    def placed(self) -> int:
        """Return the number of acknowledged orders."""
        placed = [call.response for call in self.calls if call.operation == "place"]
        return len({response["order"] for response in placed if "order" in response})


def table(result: Result) -> str:
    """Return the verdict as a table."""
    lines = [f"{'checked':<{WIDTH}}{'of':>8}{'broken':>8}"]
    for verdict in result.verdicts:
        lines.append(f"{verdict.guarantee:<{WIDTH}}{verdict.checked:>8}{len(verdict.broken):>8}")
        lines += [f"    {example}" for example in verdict.broken[:MAX_SHOWN]]
    recovered = "never" if result.recovery_s is None else f"{result.recovery_s:.1f} s after the last fault"
    lines.append(
        f"{result.placed} orders, {len(result.calls)} calls; recovered {recovered}; "
        f"longest time without an order {result.silence_s:.1f} s"
    )
    if result.aborted:
        lines.append(f"aborted: {result.aborted}")
    lines.append(f"{result.experiment.name}: {'PASSED' if result.passed else 'FAILED'}")
    return "\n".join(lines)


def document(result: Result) -> dict[str, Any]:
    """Return the verdict as a JSON document."""
    experiment = result.experiment
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "hypothesis": experiment.hypothesis,
        "passed": result.passed,
        "aborted": result.aborted,
        "run": result.run,
        "seed": result.seed,
        "began_at": result.began_at,
        "versions": result.versions,
        "command": result.command,
        "orders": result.placed,
        "calls": len(result.calls),
        "recovery_s": None if result.recovery_s is None else round(result.recovery_s, 2),
        "recovery_limit_s": experiment.recovery_limit_s,
        "longest_silence_s": round(result.silence_s, 2),
        "faults": [
            {
                "fault": band.description,
                "begin_s": round(band.begin_s, 2),
                "end_s": round(band.end_s, 2) if band.end_s < math.inf else None,
                "served_again_s": result.restored_after_s(band),
            }
            for band in result.bands
        ],
        "verdicts": [
            {
                "guarantee": verdict.guarantee,
                "checked": verdict.checked,
                "broken": len(verdict.broken),
                "examples": verdict.broken[:MAX_SHOWN],
            }
            for verdict in result.verdicts
        ],
    }
