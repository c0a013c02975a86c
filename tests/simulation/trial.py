"""What a worker does: one seed, with a defect or without."""

from __future__ import annotations

import contextlib
import os
import threading

from tests.simulation.defects import DEFECTS
from tests.simulation.plan import draw
from tests.simulation.run import OPERATIONS, Result, run


def simulated(seed: int, *, operations: int = OPERATIONS, defect: str | None = None) -> Result:
    """
    Run the plan of *seed*, with *defect* planted.
    """
    with planted(defect):
        return run(draw(seed, operations=operations))


def planted(defect: str | None) -> contextlib.AbstractContextManager[object]:
    """
    Return what plants *defect* while it is entered.
    """
    return contextlib.nullcontext() if defect is None else DEFECTS[defect]()


def end_with(parent: int) -> None:
    """
    Have this process end when *parent* does, also if that is killed.
    """

    def watch() -> None:
        while os.getppid() == parent:
            wait(1.0)
        os._exit(1)

    # Not the functions of `time`, which a run replaces.
    wait = threading.Event().wait
    threading.Thread(target=watch, daemon=True).start()
