"""
Causes alerts, and measures when each is pending, fires, and resolves after its cause was reverted.

python -m chaos.alerts [--only redis,kafka] [--hold-s 420] [--end-s 420]

Active faults are in the lab's journal, and its watchdog reverts them if this process exits first. Measurements are
kept in monitoring/measured.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from chaos import breakage, commands
from chaos.alerts import measured
from chaos.alerts.measured import Measured
from chaos.alerts.watch import FIRING, PENDING, Wanted, Watch
from chaos.commands import FaultNotMade
from chaos.lab import actions, watchdog
from chaos.lab.actions import Scene
from chaos.lab.experiment import Step
from chaos.lab.journal import BEAT_S, Journal
from chaos.restock import restock
from shop_client import rest
from stack import customer, settings
from stack.describe import describe
from stack.errors import StackError
from stack.run.lock import exclusive
from stack.settings import CHECKOUT, Settings
from stack.topology.addresses import Host, Port
from stack.topology.plan import Plan

TRIALS = Path(__file__).with_name("trials.yaml")
KEPT = CHECKOUT / "monitoring" / "measured.json"
UNITS, PAUSE_S, CALL_S = 20_000, 0.3, 15
POLL_S = 0.5
Say = Callable[[str], None]


@dataclass
class Cause:
    """A fault, and the alerts that it is to cause; its times are of the monotonic clock."""

    step: Step
    alerts: tuple[Wanted, ...]
    made_at: float = 0.0
    ended_at: float = 0.0


def main(words: Sequence[str]) -> int:
    """Run the trials; 1 if an alert did not fire, 2 if a fault could not be injected or reverted."""
    options = _parser().parse_args(words)
    # Like Ctrl-C, so that a run reverts its faults.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        chosen = settings.read(os.environ, checkout=CHECKOUT)
        with exclusive(chosen, "chaos"):
            found = asyncio.run(Trials(chosen, options, print).run())
    except (FaultNotMade, StackError, LookupError) as error:
        print(f"alerts: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("alerts: interrupted; all faults are reverted", file=sys.stderr)
        return 2
    print(measured.table(found))
    return 0 if all(each.firing_s is not None for each in found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos.alerts", description=__doc__.split("\n")[1])
    parser.add_argument("--only", default="", help="trials with one of these in their names, with commas")
    parser.add_argument("--hold-s", type=float, default=420, help="the most that a fault lasts")
    parser.add_argument("--end-s", type=float, default=420, help="the most that is waited for an alert's end")
    return parser


def trials(only: str, document: Sequence[Mapping[str, Any]]) -> dict[str, list[Cause]]:
    """Return the trials of the file, those with a word of *only* in their names."""
    words = [word for word in only.split(",") if word]
    return {
        each["name"]: [_cause(fault) for fault in each["faults"]]
        for each in document
        if not words or any(word in each["name"] for word in words)
    }


def _cause(fault: Mapping[str, Any]) -> Cause:
    arguments = {key: value for key, value in fault.items() if key not in ("action", "alerts")}
    wanted = tuple(Wanted(name, tuple(labels.items())) for name, labels in fault["alerts"].items())
    return Cause(Step(0, fault["action"], 0, arguments), wanted)


class Trials:
    """Runs trials on one stack, one after the other."""

    def __init__(self, chosen: Settings, options: argparse.Namespace, say: Say) -> None:
        self._chosen = chosen
        self._plan: Plan = describe(chosen)
        self._options = options
        self._say = say
        self._journal = Journal(chosen.run / "chaos")
        self._watch = Watch(f"http://{self._plan.network.at(Host.PROMETHEUS, Port.PROMETHEUS)}")

    async def run(self) -> list[Measured]:
        """Run the chosen trials; each result is saved at once."""
        found: list[Measured] = []
        chosen = trials(self._options.only, yaml.safe_load(TRIALS.read_text(encoding="utf-8")))
        self._put_right()
        operator = customer.metadata(self._chosen, "alerts", operator=True)
        products = await restock(f"127.0.0.1:{self._chosen.port}", operator, units=UNITS)
        async with self._buying(products[0]), self._leased():
            for name, causes in chosen.items():
                self._say(f"== {name} ==")
                seen = await self._trial(causes)
                measured.keep(KEPT, seen)
                found += seen
        return found

    async def _trial(self, causes: list[Cause]) -> list[Measured]:
        wanted = tuple(each for cause in causes for each in cause.alerts)
        async with self._watch.looking(wanted):
            await self._until(lambda: not any(map(self._watch.state, wanted)), self._options.end_s, "silence before")
            self._watch.begin()
            try:
                for number, cause in enumerate(causes, start=1):
                    await self._break(number, cause)
                firing = [(each, FIRING) for each in wanted]
                await self._until(
                    lambda: all(key in self._watch.first for key in firing), self._options.hold_s, "every alert"
                )
            finally:
                for cause in causes:
                    cause.ended_at = time.monotonic()
                await asyncio.to_thread(self._put_right)
            await self._until(lambda: not any(map(self._watch.state, wanted)), self._options.end_s, "their end")
            return [self._measured(cause, each) for cause in causes for each in cause.alerts]

    async def _break(self, number: int, cause: Cause) -> None:
        roles = await breakage.roles([str(address) for address in self._plan.patroni])
        fault = actions.fault(cause.step, Scene(number, roles, self._journal.folder))
        self._journal.note(number, fault.description, fault.undo)
        cause.made_at = time.monotonic()
        self._say(f"{fault.description}")
        await commands.run(*fault.do)

    def _put_right(self) -> None:
        if failed := self._journal.roll_back(self._say):
            raise FaultNotMade(f"not reverted: {'; '.join(failed)}")

    def _measured(self, cause: Cause, wanted: Wanted) -> Measured:
        def since(start: float, at: float | None) -> float | None:
            return None if at is None else round(max(0.0, at - start), 1)

        # The alert was silent before, so it was caused by this fault.
        first = self._watch.first
        over = None if self._watch.state(wanted) else self._watch.over(wanted)
        return Measured(
            alert=f"{wanted.name}{''.join(f' {value}' for _, value in wanted.labels)}",
            cause=cause.step.describe(),
            pending_s=since(cause.made_at, first.get((wanted, PENDING))),
            firing_s=since(cause.made_at, first.get((wanted, FIRING))),
            over_s=since(cause.ended_at, over),
            limit_s=self._options.end_s,
        )

    async def _until(self, condition: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait for a condition, or *within_s*: then the time is missing from the result."""
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                self._say(f"{what}: not within {within_s:g} s")
                return
            await asyncio.sleep(POLL_S)

    @contextlib.asynccontextmanager
    async def _leased(self) -> AsyncIterator[None]:
        """Renew the lease of the active faults, and have a watchdog revert them if it expires."""
        self._journal.beat()
        # It ends with this process.
        watchdog.start(self._journal, os.getpid())

        async def beat() -> None:
            while True:
                self._journal.beat()
                await asyncio.sleep(BEAT_S)

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()

    @contextlib.asynccontextmanager
    async def _buying(self, product: str) -> AsyncIterator[None]:
        """Run a customer who orders about twice a second, since most alerts are about orders."""
        signed = rest.signed(customer.token(self._chosen, "alerts"))

        async def buy() -> None:
            async with httpx.AsyncClient(base_url=self._chosen.edge_url, headers=signed, timeout=CALL_S) as client:
                while True:
                    placing = asyncio.create_task(_placed(client, product))
                    await asyncio.wait({placing}, timeout=PAUSE_S)
                    await asyncio.sleep(PAUSE_S)
                    placings.add(placing)
                    placing.add_done_callback(placings.discard)

        placings: set[asyncio.Task[None]] = set()
        task = asyncio.create_task(buy())
        try:
            yield
        finally:
            task.cancel()
            for placing in placings:
                placing.cancel()


async def _placed(client: httpx.AsyncClient, product: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        await rest.place(client, rest.basket(product), str(uuid.uuid4()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
