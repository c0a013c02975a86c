"""
Loses PostgreSQL's leader under a small load of real orders, and says what that cost: `make failover`.

    python -m chaos.failover [--how lost|crash|fenced|switchover] [--part PART]

lost        the whole member is killed, PostgreSQL together with its Patroni, and stays away, as a lost machine
crash       the same, but the supervisor may start it again, as on a machine that is still there
fenced      the same as lost, but the lease of the leader is ended once every process of it is known to be gone
switchover  Patroni hands over to the synchronous replica; nothing is killed

PART is what is lost instead of the leader: postgres-replica, kafka-1, … What was killed is started again. The load, the
history and the checks are those of the experiments. Exit codes: 0 nothing was lost, 1 a guarantee is violated or the
part did not come back, 2 it could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import grpc

from chaos import commands
from chaos.breakage import LEADER
from chaos.commands import FaultNotMade
from chaos.failover import members
from chaos.failover.members import Members
from chaos.failover.writes import Writes
from chaos.guarantees import MAX_SHOWN, Verdict
from chaos.lab import act, actions, checks, watchdog
from chaos.lab.environment import Addresses
from chaos.lab.evidence import gather
from chaos.lab.figures import is_placed, longest_gap_s, longest_silence_s
from chaos.lab.history import History
from chaos.lab.journal import Entry, Journal
from chaos.lab.load import Load, LoadPlan
from chaos.lab.one_machine import OneMachine
from chaos.lab.samples import Sampler
from chaos.restock import restock
from chaos.truth import NotRead
from stack import settings
from stack.describe import describe
from stack.errors import StackError
from stack.progress import Progress
from stack.run import members as processes
from stack.run.lock import exclusive
from stack.run.supervisor import Supervisor
from stack.settings import CHECKOUT, Settings
from stack.topology import system

LOST, CRASH, FENCED, SWITCHOVER = "lost", "crash", "fenced", "switchover"
HOW = (LOST, CRASH, FENCED, SWITCHOVER)
# Small, and often enough to see a gap of a fifth of a second.
LOAD = LoadPlan(customers=12, pause_s=0.1)
UNITS = 100_000
BEFORE_S, AFTER_S = 4.0, 3.0
# How long a part is away of which nobody has to take the place.
AWAY_S = 12.0
LIMIT_S, POLL_S = 120.0, 0.1


class NotReady(StackError):
    """The system is not whole before anything is lost; the message says what it lacks."""


class NotBack(StackError):
    """What was lost did not come back in time, or nobody took its place; the message says which."""


def main(words: Sequence[str]) -> int:
    """Run one failover and return the exit code."""
    options = _parser().parse_args(words)
    # As Ctrl-C, so that a run starts again what it has killed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        chosen = settings.read(os.environ, checkout=CHECKOUT)
        with exclusive(chosen, "chaos"):
            return asyncio.run(Failover(chosen, Progress()).run(options.how, options.part))
    except NotBack as error:
        print(f"failover: {error}", file=sys.stderr)
        return 1
    except (FaultNotMade, NotRead, StackError, LookupError) as error:
        print(f"failover: {error}", file=sys.stderr)
    except grpc.aio.AioRpcError as error:
        print(f"failover: the edge rejects the first call: {error.code().name}", file=sys.stderr)
    except KeyboardInterrupt:
        print("failover: interrupted; what was killed is started again", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="failover", description=__doc__.split("\n")[1])
    parser.add_argument("--how", choices=HOW, default=LOST)
    parser.add_argument("--part", default=LEADER, help=f"what is lost ({LEADER})")
    return parser


class Failover:
    """One failover of a stack, with its load."""

    def __init__(self, chosen: Settings, progress: Progress) -> None:
        self._chosen = chosen
        self._plan = describe(chosen)
        self._machine = OneMachine(chosen)
        self._say = progress.say
        self._journal = Journal(chosen.run / "chaos")
        self._every = [f"postgres-{member}" for member in self._plan.members]

    async def run(self, how: str, part: str) -> int:
        """Lose a part, wait for its return, and print what that cost; return the exit code."""
        if failed := await asyncio.to_thread(self._journal.roll_back, self._say):
            raise FaultNotMade(f"the faults of an earlier run cannot be reverted: {'; '.join(failed)}")
        before = await self._complete("the members are not complete before the failover", NotReady)
        self._say(before.describe())
        target = self._target(how, part, before)
        async with self._machine.connected() as addresses:
            return await self._run(how, target, before, addresses)

    async def _run(self, how: str, target: str, before: Members, addresses: Addresses) -> int:
        edge = addresses.edge
        products = await restock(edge.address, edge.metadata("chaos", operator=True), units=UNITS)
        began_at, name = datetime.now(UTC), f"failover{int(time.time()):x}"
        folder = self._chosen.reports / name
        folder.mkdir(parents=True)
        with (folder / "history.jsonl").open("w", encoding="utf-8") as file:
            history = History(file)
            seed = random.randrange(10**6)  # noqa: S311 - what is bought is of no importance
            load = Load(edge, history, products, run=name, seed=seed, plan=LOAD, faults_s=LIMIT_S)
            writes = Writes(addresses.database_url, clock=history.now)
            sampler = Sampler(addresses.database_url, edge.address, addresses.prometheus_url, clock=history.now)
            async with load.running(), writes.running(), sampler.running(), self._journal.leased():
                await self._orders(history, "no order is acknowledged before the failover", NotReady)
                await asyncio.sleep(BEFORE_S)
                begin_s = history.now()
                after = await self._lose(how, target, before, history)
                end_s = history.now()
                self._say("waiting for the customers to finish what they began")
                await load.stop()
            outbox = max((sample.outbox or 0 for sample in sampler.samples if begin_s <= sample.at_s), default=0)
            self._say(f"{len(set(_orders(history)))} orders were acknowledged; checking each")
            found = await gather(addresses, self._machine.published, began_at, history.calls, sampler.snapshots)
        print(f"\nbefore: {before.describe()}\nafter:  {after.describe()}")
        print(
            f"{how} {target}: {longest_gap_s(writes.moments, begin_s=begin_s, end_s=end_s):.1f} s without a write in "
            f"PostgreSQL, {longest_silence_s(history.calls, begin_s=begin_s, end_s=end_s):.1f} s without an order; "
            f"{outbox} events waited at most"
        )
        return _report(checks.verdicts(found))

    def _target(self, how: str, part: str, now: Members) -> str:
        target = actions.who(part, now.roles)
        known = [process.name for process in system.processes(system.steps(self._plan))]
        if target not in known:
            raise StackError(f"SVC={part!r} is not one part of the stack, such as {LEADER}, {actions.REPLICA}, kafka-0")
        if how in (FENCED, SWITCHOVER) and target != now.leader:
            raise StackError(f"HOW={how} is about PostgreSQL's leader, which {target} is not")
        return target

    async def _lose(self, how: str, target: str, before: Members, history: History) -> Members:
        """Lose the part, wait until the system does without, and until the part is back; return who leads then."""
        started_s = history.now()
        entry = self._journal.note(1, f"{how} {target}", () if how == SWITCHOVER else (actions.start(target),))
        watchdog.start(self._journal, os.getpid())
        try:
            self._say(f"{how}: {target}")
            await self._make(how, target)
            if target == before.leader:
                await self._successor(target, started_s, history)
            await self._orders(history, f"no order is acknowledged without {target}")
            self._say(f"orders are acknowledged without {target}, {history.now() - started_s:.1f} s after the command")
            await asyncio.sleep(AFTER_S if target == before.leader or how == CRASH else AWAY_S)
        finally:
            await self._revert(entry)
        after = await self._complete(f"{target} has not come back")
        await asyncio.sleep(AFTER_S)
        self._say(f"every member runs again: {after.describe()}")
        return after

    async def _make(self, how: str, target: str) -> None:
        if how == SWITCHOVER:
            await asyncio.to_thread(act.switch_over, self._chosen, target)
        elif how == CRASH:
            await asyncio.to_thread(_crash, self._chosen, target)
        else:
            await commands.run(sys.executable, "-m", "stack", "kill", target)
        if how == FENCED:
            await asyncio.to_thread(members.fence, self._plan, target)
            self._say(f"no process of {target} is left, so its lease was ended")

    async def _successor(self, former: str, started_s: float, history: History) -> None:
        found = Members({}, {})

        async def taken_over() -> bool:
            nonlocal found
            found = await members.look(self._plan)
            return found.leader not in ("", former)

        await _until(taken_over, f"nobody leads in place of {former}")
        self._say(f"{found.leader} leads, {history.now() - started_s:.1f} s after the command")

    async def _complete(self, otherwise: str, error: type[StackError] = NotBack) -> Members:
        """Return the members once all run, one leads and a copy is in sync; raises *error*."""
        found = Members({}, {})

        async def complete() -> bool:
            nonlocal found
            found = await members.look(self._plan)
            return found.are_complete(self._every)

        await _until(complete, otherwise, error)
        return found

    async def _orders(self, history: History, otherwise: str, error: type[StackError] = NotBack) -> None:
        """Wait for orders that began from now on; raises *error*."""
        since_s = history.now()

        async def flow() -> bool:
            return any(is_placed(call) and call.began_s >= since_s for call in reversed(history.calls))

        await _until(flow, otherwise, error)

    async def _revert(self, entry: Entry) -> None:
        if not entry.undo:
            self._journal.strike(entry)
            return
        if failed := await asyncio.to_thread(self._journal.revert, entry, self._say):
            raise NotBack(f"not started again: {failed}")


def _crash(chosen: Settings, target: str) -> None:
    """Kill every process of a part, which the supervisor starts again."""
    pid = Supervisor(chosen).info()[target]["pid"]
    victims = processes.of_program(chosen, target, pid)
    processes.signal_all(victims, signal.SIGSTOP)
    processes.signal_all(victims, signal.SIGKILL)


def _orders(history: History) -> list[str]:
    return [call.response["order"] for call in history.calls if is_placed(call)]


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str, error: type[StackError] = NotBack) -> None:
    end = time.monotonic() + LIMIT_S
    while not await condition():
        if time.monotonic() > end:
            raise error(f"{otherwise} within {LIMIT_S:g} s")
        await asyncio.sleep(POLL_S)


def _report(found: Sequence[Verdict]) -> int:
    """Print how many acknowledged orders are lost and what else is wrong; return the exit code."""
    kept = next(verdict for verdict in found if verdict.guarantee == "acknowledged orders are stored")
    broken = [verdict for verdict in found if verdict.broken]
    print(f"acknowledged orders lost: {len(kept.broken)} of {kept.checked}")
    for verdict in broken:
        print(f"violated: {verdict.guarantee}: {len(verdict.broken)} of {verdict.checked}")
        for example in verdict.broken[:MAX_SHOWN]:
            print(f"    {example}")
    if not broken:
        print(f"none of {len(found)} guarantees is violated")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
