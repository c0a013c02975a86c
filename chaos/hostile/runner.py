"""Runs one attack after another, and checks each against the same criteria."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chaos.hostile import observer
from chaos.hostile.bystander import Bystander, Service, service
from chaos.hostile.observer import Look, Observer
from chaos.hostile.rows import Row
from chaos.hostile.target import Answers, Target
from chaos.restock import restock
from stack import customer
from stack.describe import describe
from stack.settings import Settings
from stack.topology import system
from stack.topology.addresses import Host, Port

LEAST_GOOD_PERCENT = 99.9
MOST_P99_S = 0.5
# The time an attack gets to stop, beyond its own duration.
GRACE_S = 30.0
# Calls that an attack has affected may end after it.
AFTER_S = 1.0
WARM_UP_S = 5.0
Say = Callable[[str], None]


@dataclass
class Outcome:
    """The result of one row, and its effect on others."""

    row: str
    answers: Answers
    bystander: Service
    ejections: dict[str, int] = field(default_factory=dict)
    restarted: list[str] = field(default_factory=list)
    # MiB by which the process that grew most exceeded its previous memory, at its peak.
    peak_mib: int = 0
    memory_kept: dict[str, int] = field(default_factory=dict)
    error: str = ""

    def broken(self, *, timed: bool = True) -> list[str]:
        """
        Return every violated criterion as text; without *timed* the p99 is not checked.
        """
        violations = []
        if self.error:
            violations.append(f"the attack itself failed: {self.error}")
        if not self.answers.total():
            violations.append("the attack sent nothing")
        if self.bystander.percent < LEAST_GOOD_PERCENT:
            violations.append(
                f"bystander {self.bystander.percent:.1f} %: {dict(self.bystander.failures.most_common(3))}"
            )
        if timed and self.bystander.p99_s >= MOST_P99_S:
            violations.append(f"p99 {self.bystander.p99_s * 1000:.0f} ms")
        if self.ejections:
            violations.append(f"ejected {self.ejections}")
        if self.restarted:
            violations.append(f"restarted {self.restarted}")
        if self.memory_kept:
            violations.append(f"MiB not released {self.memory_kept}")
        return violations


class Runner:
    """Attacks on the stack of *settings*, each for *seconds*, or up to *least_s* if it needs more."""

    def __init__(
        self, settings: Settings, *, seconds: float, seed: int, say: Say, least_s: float = float("inf")
    ) -> None:
        self._settings, self._seconds, self._say, self._least_s = settings, seconds, say, least_s
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable attack, not a secret
        plan = describe(settings)
        self._network = plan.network
        self._observer = Observer(settings, system.processes(system.steps(plan)))

    async def run(self, rows: Sequence[Row]) -> list[Outcome]:
        """
        Attack with each of *rows* in turn and return the outcomes.
        """
        edge = f"127.0.0.1:{self._settings.port}"
        products = await restock(edge, customer.metadata(self._settings, "chaos", operator=True), units=200_000)
        bystander = Bystander(edge, customer.metadata(self._settings, "bystander"), products[0])
        outcomes = []
        async with bystander.shopping():
            await asyncio.sleep(WARM_UP_S)
            alone = service(bystander.seen)
            self._say(f"before any attack the bystander sees {alone.percent:.1f} %, p99 {alone.p99_s * 1000:.0f} ms")
            for number, row in enumerate(rows, 1):
                if not await self._observer.healed():
                    self._say("replicas are still ejected from the row before")
                outcome = await self._attack(row, bystander, products[-1])
                outcomes.append(outcome)
                self._say(f"{number}/{len(rows)} {line(outcome)}")
        return outcomes

    async def _attack(self, row: Row, bystander: Bystander, product: str) -> Outcome:
        before, stop = await self._observer.look(), asyncio.Event()
        height = asyncio.create_task(self._observer.highest(stop))
        first = len(bystander.seen)
        began, error, answers = time.monotonic(), "", Answers()
        seconds = max(self._seconds, min(row.least_s, self._least_s))
        try:
            async with asyncio.timeout(seconds + GRACE_S):
                answers = await row.attack(self._target(seconds, product))
        except Exception as fault:
            error = "".join(traceback.format_exception_only(fault)).strip() or type(fault).__name__
        await asyncio.sleep(AFTER_S)
        await bystander.ended(time.monotonic())
        stop.set()
        after, highest = await self._observer.look(), await height
        felt = [each for each in bystander.seen[first:] if each.began >= began - AFTER_S]
        return Outcome(
            row=row.name,
            answers=answers,
            bystander=service(felt),
            ejections=observer.grown(after.ejections, before.ejections),
            restarted=observer.restarted(after, before),
            peak_mib=_peak(highest, before),
            memory_kept=await self._observer.memory_back(before),
            error=error,
        )

    def _target(self, seconds: float, product: str) -> Target:
        def outbound(host: Host) -> tuple[str, int]:
            at = self._network.at(host, Port.OUTBOUND)
            return at.address, at.port

        return Target(
            edge=("127.0.0.1", self._settings.port),
            outbound_of_orders=outbound(Host.ORDERS),
            outbound_of_inventory=outbound(Host.INVENTORY),
            token=customer.token(self._settings, "mallory"),
            operator_token=customer.token(self._settings, "mallory-the-operator", operator=True),
            product=product,
            chance=self._chance,
            seconds=seconds,
        )


def _peak(highest: dict[str, int], before: Look) -> int:
    return max((taken - before.memory.get(name, 0) for name, taken in highest.items()), default=0) // observer.MIB


HEADER = (
    f"{'row':<34}{'sent':>7}{'good':>8}{'p99 ms':>8}{'pending':>9}{'ejected':>9}{'restarts':>10}{'peak MiB':>10}"
    "  answers"
)


def line(outcome: Outcome) -> str:
    """
    Return one line of the table.
    """
    seen = outcome.bystander
    answers = ", ".join(f"{text} x{count}" for text, count in outcome.answers.most_common(6))
    return (
        f"{outcome.row:<34}{outcome.answers.total():>7}{seen.percent:>7.1f}%{seen.p99_s * 1000:>8.0f}{seen.pending:>9}"
        f"{sum(outcome.ejections.values()):>9}{len(outcome.restarted):>10}{outcome.peak_mib:>10}  {answers}"
    )
