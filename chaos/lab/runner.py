"""
Runs one experiment: steady state, faults, steady state again, then all checks.

Faults are reverted in any case: by the runner, by its watchdog, or by the next run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chaos.commands import FaultNotMade
from chaos.guarantees import Verdict
from chaos.lab import checks, expect, watchdog
from chaos.lab.baseline import Baseline
from chaos.lab.environment import Addresses, Environment, refusals
from chaos.lab.evidence import gather
from chaos.lab.experiment import Bound, Experiment
from chaos.lab.faults import Faults
from chaos.lab.figures import longest_silence_s
from chaos.lab.history import History
from chaos.lab.journal import BEAT_S, Journal
from chaos.lab.load import Load
from chaos.lab.probes import Probes, Reading
from chaos.lab.result import Result
from chaos.lab.samples import Sampler
from chaos.restock import restock
from chaos.truth import NotRead

Say = Callable[[str], None]
STEADY_LIMIT_S, STEADY_POLL_S = 90.0, 0.5
ABORT_POLL_S, PROGRESS_S = 1.0, 5.0
UNITS = 200_000


class Broken(Exception):
    """The experiment was aborted; the message says why."""


@dataclass
class Parts:
    """The parts of a run."""

    history: History
    sampler: Sampler
    load: Load
    probes: Probes
    faults: Faults
    baseline: Baseline
    dog: subprocess.Popen[bytes] | None = None


class Runner:
    """Runs experiments in one environment, one at a time."""

    def __init__(self, environment: Environment, say: Say) -> None:
        self._environment = environment
        self._say = say
        self.journal = Journal(environment.folder)

    def run(self, experiment: Experiment, *, seed: int, command: str) -> Result:
        """
        Run *experiment* and return its result; its history is in a folder of its own.

        Raises `Busy` during another run, `FaultNotMade` if the faults of an earlier run cannot be reverted or one of
        this run's is not possible here.
        """
        with self._environment.exclusive():
            self._sweep()
            self._possible(experiment)
            return asyncio.run(self._run(experiment, seed, command))

    def folder(self, result: Result) -> Path:
        """Return the folder with the files of a run."""
        return self._environment.reports / f"{result.experiment.name}-{result.run}"

    def sweep(self) -> None:
        """
        Revert the faults that an earlier run has left; raises `Busy` during another run.
        """
        with self._environment.exclusive():
            self._sweep()

    def _sweep(self) -> None:
        """Revert the faults of a run whose watchdog was killed as well."""
        failed = self.journal.roll_back(self._say)
        if failed:
            raise FaultNotMade(f"the faults of an earlier run cannot be reverted: {'; '.join(failed)}")

    def _possible(self, experiment: Experiment) -> None:
        """Raise `FaultNotMade` before anything is changed; a drawn experiment leaves out what is not possible."""
        if experiment.strict and (reasons := refusals(self._environment, experiment)):
            raise FaultNotMade(f"{experiment.name} is not possible here: {'; '.join(reasons)}")

    async def _run(self, experiment: Experiment, seed: int, command: str) -> Result:
        await asyncio.to_thread(self._environment.require_healthy)
        async with self._environment.connected() as addresses:
            return await self._run_at(addresses, experiment, seed, command)

    async def _run_at(self, addresses: Addresses, experiment: Experiment, seed: int, command: str) -> Result:
        run = f"lab{int(time.time()):x}{random.Random().randrange(256):02x}"  # noqa: S311 - a name
        began_at = datetime.now(UTC).isoformat(timespec="seconds")
        result = Result(experiment, seed, run, began_at, self._environment.versions(), command)
        self.folder(result).mkdir(parents=True)
        products = await restock(addresses.edge.address, addresses.edge.metadata("chaos", operator=True), units=UNITS)
        with (self.folder(result) / "history.jsonl").open("w", encoding="utf-8") as file:
            parts = self._parts(addresses, experiment, History(file), products, run, seed)
            # They grow during the run, so that an aborted one has what was collected until then.
            result.calls, result.bands = parts.history.calls, parts.faults.bands
            result.samples, result.lags = parts.sampler.samples, parts.sampler.lags
            try:
                await self._experiment(addresses, experiment, parts, result)
            except (Broken, FaultNotMade, NotRead) as error:
                result.aborted = str(error)
        return result

    def _parts(
        self,
        addresses: Addresses,
        experiment: Experiment,
        history: History,
        products: list[str],
        run: str,
        seed: int,
    ) -> Parts:
        clock, edge, prometheus = history.now, addresses.edge, addresses.prometheus_url
        sampler = Sampler(addresses.database_url, edge.address, prometheus, clock=clock)
        load = Load(edge, history, products, run=run, seed=seed, plan=experiment.load, faults_s=experiment.seconds)
        faults = Faults(self.journal, load, self._environment, clock=clock, say=self._say, strict=experiment.strict)
        probes = Probes(history, sampler, self._environment, prometheus)
        return Parts(history, sampler, load, probes, faults, Baseline(self._environment))

    async def _experiment(self, addresses: Addresses, experiment: Experiment, parts: Parts, result: Result) -> None:
        async with parts.load.running(), parts.sampler.running(), self._progress(parts):
            before = await self._before(experiment, parts)
            await parts.baseline.begin()
            begin_s = parts.history.now()
            unwell = await self._break(experiment, parts)
            lifted_s = parts.history.now()
            self._say("every fault is reverted; waiting for the steady state")
            readings = await self._steady(experiment, parts, experiment.recovery_limit_s, since_s=lifted_s)
            end_s = parts.history.now()
            result.silence_s = longest_silence_s(parts.history.calls, begin_s=begin_s, end_s=end_s)
            result.verdicts = [before, _recovered(experiment, readings)]
            if all(reading.good for reading in readings):
                result.recovery_s = end_s - lifted_s
            self._say("waiting for the customers to finish what they began")
            await parts.load.stop()
        self._say("collecting the final state for the checks")
        began_at = datetime.fromisoformat(result.began_at)
        found = await gather(
            addresses, self._environment.published, began_at, parts.history.calls, parts.sampler.snapshots
        )
        calls = [call for call in parts.history.calls if call.ended_s >= begin_s]
        samples = [sample for sample in parts.sampler.samples if sample.at_s >= begin_s]
        seen = await parts.baseline.seen(calls, samples, found.facts.orders, unwell)
        result.verdicts += [
            expect.verdict(experiment.expect, seen),
            expect.allowed(experiment.answers, seen.calls),
            _not_silent(experiment, result),
            *checks.verdicts(found),
        ]

    async def _before(self, experiment: Experiment, parts: Parts) -> Verdict:
        self._say(f"{experiment.title}: waiting for the steady state")
        readings = await self._steady(experiment, parts, STEADY_LIMIT_S)
        if wrong := [reading.describe() for reading in readings if not reading.good]:
            raise Broken(f"the system is not healthy before the experiment: {'; '.join(wrong)}")
        return Verdict("steady state reached; injecting the faults", len(readings), [])

    async def _steady(
        self, experiment: Experiment, parts: Parts, within_s: float, *, since_s: float = 0.0
    ) -> list[Reading]:
        """Wait until every condition holds, for up to *within_s*; return the last readings."""
        end = parts.history.now() + within_s
        while True:
            readings = await parts.probes.read(experiment.steady_state, since_s=since_s)
            if all(reading.good for reading in readings) or parts.history.now() > end:
                return readings
            await asyncio.sleep(STEADY_POLL_S)

    async def _break(self, experiment: Experiment, parts: Parts) -> frozenset[str]:
        """Inject and revert every fault, or abort; return the processes that were unhealthy meanwhile."""
        unwell: set[str] = set()
        self.journal.beat()
        if experiment.rollbacks:
            self.journal.note(
                0, "the rollback defined in the file", [self._environment.start(part) for part in experiment.rollbacks]
            )
        parts.dog = watchdog.start(self.journal, os.getpid())
        working = asyncio.create_task(parts.faults.run(experiment.method))
        guarding = [
            asyncio.create_task(self._beat(parts)),
            asyncio.create_task(self._guard(experiment.abort, parts, unwell)),
        ]
        try:
            await asyncio.wait({working, *guarding}, return_when=asyncio.FIRST_COMPLETED)
            for task in guarding:
                if task.done():
                    task.result()
            await working
        finally:
            await self._put_right(working)
            for task in guarding:
                task.cancel()
            await asyncio.gather(*guarding, return_exceptions=True)
        return frozenset(unwell)

    async def _put_right(self, working: asyncio.Task[None]) -> None:
        """Revert what is still active, renewing the lease meanwhile."""
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        failed = await asyncio.to_thread(self.journal.roll_back, self._say)
        if failed:
            raise FaultNotMade(f"not reverted: {'; '.join(failed)}")

    async def _beat(self, parts: Parts) -> None:
        """Renew the lease of the faults; raises `Broken` if it has expired."""
        while True:
            if watchdog.has_lapsed(self.journal):
                raise Broken("the lease of the faults expired, and the watchdog reverted them")
            if parts.dog is not None and parts.dog.poll() is not None:
                raise Broken("the watchdog has exited")
            self.journal.beat()
            await asyncio.sleep(BEAT_S)

    async def _guard(self, abort: Sequence[Bound], parts: Parts, unwell: set[str]) -> None:
        """Watch the abort conditions while a fault is active; raises `Broken` if one is met."""
        while True:
            wrong = [reading.describe() for reading in await parts.probes.read(abort) if not reading.good]
            if wrong:
                raise Broken(f"abort condition: {'; '.join(wrong)}")
            unwell |= set(await parts.probes.unhealthy())
            await asyncio.sleep(ABORT_POLL_S)

    @contextlib.asynccontextmanager
    async def _progress(self, parts: Parts) -> AsyncIterator[None]:
        async def report() -> None:
            while True:
                await asyncio.sleep(PROGRESS_S)
                sample = parts.sampler.samples[-1] if parts.sampler.samples else None
                waits = "" if sample is None or sample.pending is None else f", {sample.pending} pending"
                well = sum(call.outcome == "ok" for call in parts.history.calls)
                self._say(f"{len(parts.history.calls)} calls, {well} ok{waits}")

        task = asyncio.create_task(report())
        try:
            yield
        finally:
            task.cancel()


def _recovered(experiment: Experiment, readings: list[Reading]) -> Verdict:
    broken = [reading.describe() for reading in readings if not reading.good]
    return Verdict(f"steady state reached again within {experiment.recovery_limit_s:g} s", len(readings), broken)


def _not_silent(experiment: Experiment, result: Result) -> Verdict:
    limit_s = experiment.longest_silence_s
    broken = [f"no order was acknowledged for {result.silence_s:.1f} s"] if result.silence_s > limit_s else []
    return Verdict(f"no gap in acknowledged orders of more than {limit_s:g} s", result.placed, broken)
