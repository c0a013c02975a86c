"""Injects the faults of an experiment at their times, and reverts them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from chaos import commands
from chaos.commands import FaultNotMade
from chaos.lab.actions import Command, Fault, Scene
from chaos.lab.environment import Actions
from chaos.lab.experiment import Step
from chaos.lab.journal import Entry, Journal
from chaos.lab.load import Load
from chaos.partition.__main__ import IN_FORCE
from stack.errors import StackError

HOLD_S = 30.0
ROLES_S, POLL_S = 60.0, 1.0
ROLES = ("postgres-leader", "postgres-replica")


@dataclass
class Band:
    """The time during which a fault was effective, in seconds since the run began."""

    description: str
    begin_s: float
    end_s: float = float("inf")


class Faults:
    """
    The faults of one run; each is in the journal until it is reverted.

    A fault that cannot be injected ends a *strict* run, and is skipped in any other.
    """

    def __init__(
        self,
        journal: Journal,
        load: Load,
        actions: Actions,
        *,
        clock: Callable[[], float],
        say: Callable[[str], None],
        strict: bool = True,
    ) -> None:
        self._journal = journal
        self._load = load
        self._actions = actions
        self._clock = clock
        self._say = say
        self._strict = strict
        self._number = 0
        self._free: dict[str | tuple[Command, ...], asyncio.Lock] = defaultdict(asyncio.Lock)
        self.bands: list[Band] = []

    async def run(self, method: Sequence[Step]) -> None:
        """
        Inject every fault at its time; return when the last is reverted.

        Raises `FaultNotMade` for the first that could not be injected or reverted.
        """
        started = self._clock()
        try:
            async with asyncio.TaskGroup() as running:
                for step in method:
                    running.create_task(self._step(step, started))
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _step(self, step: Step, started: float) -> None:
        await asyncio.sleep(max(0.0, started + step.at_s - self._clock()))
        self._number += 1
        try:
            await self._happen(step, self._number)
        except (FaultNotMade, LookupError, StackError) as error:
            if self._strict:
                raise
            self._say(f"skipped: {error}")

    async def _happen(self, step: Step, number: int) -> None:
        # Before anything is recorded.
        if refusal := await asyncio.to_thread(self._actions.refusal, step):
            raise FaultNotMade(refusal)
        roles = await self._roles(step)
        fault = await asyncio.to_thread(self._actions.fault, step, Scene(number, roles, self._journal.folder))
        # A part that is down already is brought back before the next fault hits it, and an Istio resource is put back
        # before the next one replaces it: otherwise the undo of the later would apply the earlier again.
        async with self._free[fault.place or fault.undo or f"fault {number}"]:
            await self._make(step, number, fault)

    async def _make(self, step: Step, number: int, fault: Fault) -> None:
        entry = self._journal.note(number, fault.description, fault.undo)
        # What happens while the command still runs is attributed to the fault.
        band = Band(fault.description, self._clock())
        self.bands.append(band)
        try:
            async with self._made(fault):
                self._say(f"{fault.description}{f', for {step.for_s:g} s' if step.for_s else ''}")
                await asyncio.sleep(step.for_s)
        except FaultNotMade:
            # It may have been injected in part.
            await self._take_back(fault, entry, band)
            raise
        await self._take_back(fault, entry, band)
        if step.for_s:
            self._say(f"reverted: {fault.description}")

    async def _take_back(self, fault: Fault, entry: Entry, band: Band) -> None:
        for command in fault.undo:
            await commands.run(*command)
        self._journal.strike(entry)
        band.end_s = self._clock()

    @contextlib.asynccontextmanager
    async def _made(self, fault: Fault) -> AsyncIterator[None]:
        if fault.holds:
            async with _held(fault):
                yield
        elif fault.factor > 1:
            end = self._load.more(fault.factor - 1)
            try:
                yield
            finally:
                end()
        else:
            await commands.run(*fault.do)
            yield

    async def _roles(self, step: Step) -> dict[str, str]:
        """
        Return PostgreSQL's members by role, if the step depends on it; waits until there are a leader and a replica.
        """
        named = {str(value) for value in step.arguments.values()} & set(ROLES)
        if step.action == "switchover":
            named = set(ROLES)
        end = self._clock() + ROLES_S
        roles = await self._actions.roles() if named else {}
        while named and not {"leader", "sync_standby"} <= set(roles.values()) and self._clock() < end:
            await asyncio.sleep(POLL_S)
            roles = await self._actions.roles()
        return roles


@contextlib.asynccontextmanager
async def _held(fault: Fault) -> AsyncIterator[None]:
    """Keep the command of a fault running during the block, which begins once the fault is effective."""
    process = await asyncio.create_subprocess_exec(
        *fault.do, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True
    )
    try:
        await _in_force(fault, process)
        yield
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.communicate(), HOLD_S)


async def _in_force(fault: Fault, process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    output = b""
    try:
        async with asyncio.timeout(HOLD_S):
            async for line in process.stdout:
                output += line
                if IN_FORCE.encode() in line:
                    return
    except TimeoutError:
        pass
    raise FaultNotMade(f"{fault.description} did not happen: {output.decode(errors='replace').strip()[-500:]}")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the most informative error: a fault that was not injected, before its consequences."""
    errors = [error for error in _leaves(group) if not isinstance(error, asyncio.CancelledError)]
    for error in errors:
        if isinstance(error, FaultNotMade):
            return error
        if isinstance(error, LookupError | StackError):
            return FaultNotMade(str(error))
    return errors[0] if errors else asyncio.CancelledError()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
