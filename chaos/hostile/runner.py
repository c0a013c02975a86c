"""Runs one attack after another, and checks each against the same criteria."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
    # MiB by which each process exceeded its previous memory, at its peak.
    peak_mib: dict[str, int] = field(default_factory=dict)
    # The longest turn of each event loop, in milliseconds: of an Envoy's worker, of a service.
    turn_ms: dict[str, float] = field(default_factory=dict)
    # How many calls the attack opened at once.
    streams: int = 0
    unmeasured: list[str] = field(default_factory=list)
    memory_kept: dict[str, int] = field(default_factory=dict)
    error: str = ""

    def broken(self, *, timed: bool = True) -> list[str]:
        """
        Return every violated criterion as text; without *timed* no time is checked.
        """
        seen = self.bystander
        large = observer.too_large(self.peak_mib, self.streams)
        long = {name: round(ms) for name, ms in self.turn_ms.items() if ms > observer.MAX_BLOCKED_MS}
        judged = (
            (self.error, f"the attack itself failed: {self.error}"),
            (not self.answers.total(), "the attack sent nothing"),
            (seen.percent < LEAST_GOOD_PERCENT, f"bystander {seen.percent:.1f} %: {_first(seen.failures)}"),
            (timed and seen.p99_s >= MOST_P99_S, f"p99 {seen.p99_s * 1000:.0f} ms"),
            (self.ejections, f"ejected {self.ejections}"),
            (self.restarted, f"restarted {self.restarted}"),
            (large, f"MiB taken {large}"),
            (timed and long, f"event loops blocked for ms {long}"),
            (self.unmeasured, f"event loops not measured {self.unmeasured}"),
            (self.memory_kept, f"MiB not released {self.memory_kept}"),
        )
        return [criterion for violated, criterion in judged if violated]


def _first(failures: Counter[str]) -> dict[str, int]:
    return dict(failures.most_common(3))


class Runner:
    """
    Attacks on the stack of *settings*, each for *seconds*, or up to *least_s* if it needs more.

    *warm_up_s* is how long the bystander is looked at alone.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        seconds: float,
        seed: int,
        say: Say,
        least_s: float = float("inf"),
        warm_up_s: float = WARM_UP_S,
    ) -> None:
        self._settings, self._seconds, self._say, self._least_s = settings, seconds, say, least_s
        self._warm_up_s = warm_up_s
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
            await asyncio.sleep(self._warm_up_s)
            alone = service(bystander.seen)
            self._say(f"before any attack the bystander sees {alone.percent:.1f} %, p99 {alone.p99_s * 1000:.0f} ms")
            for number, row in enumerate(rows, 1):
                before = await self._observer.healed()
                if before.ejected:
                    self._say("replicas are still ejected from the row before")
                outcome = await self._attack(row, bystander, products[-1], before)
                outcomes.append(outcome)
                self._say(f"{number}/{len(rows)} {line(outcome)}")
        return outcomes

    async def _attack(self, row: Row, bystander: Bystander, product: str, before: Look) -> Outcome:
        stop = asyncio.Event()
        height = asyncio.create_task(self._observer.highest(stop))
        first = len(bystander.seen)
        began, error, answers = time.monotonic(), "", Answers()
        seconds = max(self._seconds, min(row.least_s, self._least_s))
        async with self._observer.turns(before) as longest:
            try:
                async with asyncio.timeout(seconds + GRACE_S):
                    answers = await row.attack(self._target(seconds, product))
            except Exception as fault:
                error = "".join(traceback.format_exception_only(fault)).strip() or type(fault).__name__
            await asyncio.sleep(AFTER_S)
            await bystander.ended(time.monotonic())
        stop.set()
        after, highest = await self._observer.look(), await height
        blocked = {name: observer.longest_ms(now, before.loops.get(name, {})) for name, now in after.loops.items()}
        felt = [each for each in bystander.seen[first:] if each.began >= began - AFTER_S]
        return Outcome(
            row=row.name,
            answers=answers,
            bystander=service(felt),
            ejections=observer.grown(after.ejections, before.ejections),
            restarted=observer.restarted(after, before),
            peak_mib=_peaks(highest, before),
            turn_ms=longest.ms | {name: ms for name, ms in blocked.items() if ms is not None},
            unmeasured=longest.unmeasured + [name for name, ms in blocked.items() if ms is None],
            memory_kept=await self._observer.memory_back(before, after),
            streams=row.streams,
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


def _peaks(highest: dict[str, int], before: Look) -> dict[str, int]:
    return {name: (taken - before.memory.get(name, 0)) // observer.MIB for name, taken in highest.items()}


HEADER = (
    f"{'row':<34}{'sent':>7}{'good':>8}{'p99 ms':>8}{'pending':>9}{'ejected':>9}{'restarts':>10}"
    f"{'peak MiB':>21}{'longest turn ms':>22}  answers"
)


def line(outcome: Outcome) -> str:
    """
    Return one line of the table.
    """
    seen = outcome.bystander
    answers = ", ".join(f"{text} x{count}" for text, count in outcome.answers.most_common(6))
    return (
        f"{outcome.row:<34}{outcome.answers.total():>7}{seen.percent:>7.1f}%{seen.p99_s * 1000:>8.0f}{seen.pending:>9}"
        f"{sum(outcome.ejections.values()):>9}{len(outcome.restarted):>10}{_most(outcome.peak_mib):>21}"
        f"{_most(outcome.turn_ms):>22}  {answers}"
    )


def _most(figures: Mapping[str, float]) -> str:
    if not figures:
        return "-"
    name = max(figures, key=lambda each: figures[each])
    return f"{name} {figures[name]:.0f}"
