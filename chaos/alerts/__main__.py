"""
Causes alerts, and measures when each is pending, fires, and resolves after its cause was reverted.

python -m chaos.alerts [--only redis,kafka] [--apart-s 60] [--hold-s 420] [--end-s 420]

The faults of a trial are injected together; each is reverted as soon as all its alerts fire. Active faults are in the
lab's journal, and its watchdog reverts them if this process exits first. Measurements are kept in
monitoring/measured.json and shown in docs/runbooks.md.
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
from dataclasses import dataclass, replace
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
from chaos.lab.actions import Fault, Scene
from chaos.lab.experiment import Step
from chaos.lab.journal import Entry, Journal
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
PAGE = CHECKOUT / "docs" / "runbooks.md"
UNITS, PAUSE_S, CALL_S = 20_000, 0.3, 15
POLL_S = 0.5
Say = Callable[[str], None]


@dataclass
class Cause:
    """
    A fault, and the alerts that it is to cause; its times are of the monotonic clock.

    It lasts *hold_s* at most, and the end of its alerts is waited for *end_s* at most.
    """

    step: Step
    alerts: tuple[Wanted, ...]
    hold_s: float
    end_s: float
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
            run = Trials(chosen, options, print)
            found = asyncio.run(run.run())
    except (FaultNotMade, StackError, LookupError) as error:
        print(f"alerts: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("alerts: interrupted; all faults are reverted", file=sys.stderr)
        return 2
    print(measured.table(found))
    if run.not_made:
        print(f"alerts: not injected or not reverted: {', '.join(run.not_made)}", file=sys.stderr)
        return 2
    return 0 if all(each.firing_s is not None for each in found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos.alerts", description=__doc__.split("\n")[1])
    parser.add_argument("--only", default="", help="trials with one of these in their names, with commas")
    parser.add_argument("--apart-s", type=float, help="begin the trials so far apart, not each at the end of the last")
    parser.add_argument(
        "--hold-s", type=float, default=420, help="the most that a fault lasts, unless its trial says more"
    )
    parser.add_argument(
        "--end-s",
        type=float,
        default=420,
        help="the most that is waited for an alert's end, unless its trial says more",
    )
    return parser


def trials(options: argparse.Namespace, document: Sequence[Mapping[str, Any]]) -> dict[str, list[Cause]]:
    """Return the trials of the file, those with a word of the option `only` in their names; each cause at its time."""
    words = [word for word in options.only.split(",") if word]
    return {
        each["name"]: sorted((_cause(fault, options) for fault in each["faults"]), key=lambda cause: cause.step.at_s)
        for each in document
        if not words or any(word in each["name"] for word in words)
    }


def together(chosen: Mapping[str, list[Cause]], apart_s: float | None) -> Mapping[str, list[Cause]]:
    """Make one trial of all, in which each begins *apart_s* after the one before; None leaves them as they are."""
    if apart_s is None:
        return chosen
    shifted = [
        replace(cause, step=replace(cause.step, at_s=cause.step.at_s + number * apart_s))
        for number, causes in enumerate(chosen.values())
        for cause in causes
    ]
    return {", ".join(chosen): sorted(shifted, key=lambda cause: cause.step.at_s)}


def injected(step: Step, scene: Scene) -> Fault:
    """Return the fault of a step: an action of the experiments, or one of the causes that only alerts need."""
    if step.action in actions.ACTIONS:
        return actions.fault(step, scene)
    words = (step.action, str(scene.kept / f"alert-{scene.number}"), *map(str, step.arguments.values()))
    command = (sys.executable, "-m", "chaos.alerts.causes")
    return Fault(step.describe(), (*command, "do", *words), ((*command, "undo", *words),))


def _cause(fault: Mapping[str, Any], options: argparse.Namespace) -> Cause:
    fields = dict(fault)
    wanted = tuple(Wanted(name, tuple(labels.items())) for name, labels in fields.pop("alerts").items())
    hold_s, end_s = fields.pop("hold_s", options.hold_s), fields.pop("end_s", options.end_s)
    step = Step(fields.pop("at_s", 0), fields.pop("action"), 0, fields)
    return Cause(step, wanted, hold_s, end_s)


class Trials:
    """Runs trials on one stack, one after the other."""

    def __init__(self, chosen: Settings, options: argparse.Namespace, say: Say) -> None:
        self._chosen = chosen
        self._plan: Plan = describe(chosen)
        self._options = options
        self._say = say
        self._journal = Journal(chosen.run / "chaos")
        self.not_made: list[str] = []
        self._breaking = asyncio.Lock()
        self._watch = Watch(f"http://{self._plan.network.at(Host.PROMETHEUS, Port.PROMETHEUS)}")

    async def run(self) -> list[Measured]:
        """Run the chosen trials; each result is saved at once."""
        found: list[Measured] = []
        chosen = trials(self._options, yaml.safe_load(TRIALS.read_text(encoding="utf-8")))
        self._put_right()
        operator = customer.metadata(self._chosen, "alerts", operator=True)
        products = await restock(f"127.0.0.1:{self._chosen.port}", operator, units=UNITS)
        async with self._buying(products[0]), self._leased():
            for name, causes in together(chosen, self._options.apart_s).items():
                self._say(f"== {name} ==")
                found += await self._trial(causes)
        return found

    async def _trial(self, causes: Sequence[Cause]) -> list[Measured]:
        wanted = tuple(each for cause in causes for each in cause.alerts)
        begun = time.monotonic()
        async with self._watch.looking(wanted):
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._cause(number, cause, begun)) for number, cause in enumerate(causes, 1)
                    ]
            finally:
                await asyncio.to_thread(self._put_right)
        return [each for task in tasks for each in task.result()]

    async def _cause(self, number: int, cause: Cause, begun: float) -> list[Measured]:
        """
        Inject a fault at its time, revert it once all its alerts fire, and wait for their end.

        What was measured is returned and kept. Only an alert that is silent before can be taken for this
        fault's.
        """
        await asyncio.sleep(max(0.0, begun + cause.step.at_s - time.monotonic()))
        what = cause.step.describe()
        if not await self._until(lambda: self._are_silent(cause), cause.end_s, f"{what}: silence before"):
            self.not_made.append(what)
            return []
        # One after the other: two commands that change the stack at once would wait for each other, or fail.
        async with self._breaking:
            self._watch.begin(cause.alerts)
            entry = await self._break(number, cause)
        if entry is None:
            return []
        firing = [(each, FIRING) for each in cause.alerts]
        await self._until(lambda: all(key in self._watch.first for key in firing), cause.hold_s, f"{what}: every alert")
        cause.ended_at = time.monotonic()
        await self._revert(entry)
        await self._until(lambda: self._are_silent(cause), cause.end_s, f"{what}: their end")
        seen = [self._measured(cause, each) for each in cause.alerts]
        # One that did not fire is in what is printed, and makes the exit code 1.
        measured.keep(KEPT, [each for each in seen if each.firing_s is not None])
        measured.show(PAGE, measured.load(KEPT))
        self._say(measured.table(seen))
        return seen

    def _are_silent(self, cause: Cause) -> bool:
        return self._watch.looked and not any(map(self._watch.state, cause.alerts))

    async def _break(self, number: int, cause: Cause) -> Entry | None:
        """Inject a fault; one that cannot be injected is reverted and ends no other, and makes the exit code 2."""
        roles = await breakage.roles([str(address) for address in self._plan.patroni])
        fault = injected(cause.step, Scene(number, roles, self._journal.folder))
        entry = self._journal.note(number, fault.description, fault.undo)
        cause.made_at = time.monotonic()
        self._say(f"{fault.description}")
        try:
            await commands.run(*fault.do)
        except FaultNotMade as error:
            self._say(f"{fault.description}: not injected: {error}")
            self.not_made.append(fault.description)
            await self._revert(entry)
            return None
        return entry

    async def _revert(self, entry: Entry) -> None:
        if failed := await asyncio.to_thread(self._journal.revert, entry, self._say):
            self._say(f"not reverted: {failed}")
            self.not_made.append(entry.description)

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
            limit_s=cause.end_s,
        )

    async def _until(self, condition: Callable[[], bool], within_s: float, what: str) -> bool:
        """Wait for a condition, *within_s* at most; return whether it came true."""
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                self._say(f"{what}: not within {within_s:g} s")
                return False
            await asyncio.sleep(POLL_S)
        return True

    @contextlib.asynccontextmanager
    async def _leased(self) -> AsyncIterator[None]:
        """Renew the lease of the active faults, and have a watchdog revert them if it expires."""
        async with self._journal.leased():
            # It ends with this process.
            watchdog.start(self._journal, os.getpid())
            yield

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
