"""
The processes of a local mesh: applications, Envoys and the controller, which end with the command that started them.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

END_S = 10.0


@dataclass
class Processes:
    """
    Running processes by name; what each prints is in a file of that name in *logs*.
    """

    logs: Path
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Start a process.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("wb") as log:
            self.running[name] = await asyncio.create_subprocess_exec(
                *command, cwd=cwd, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )

    def log(self, name: str) -> Path:
        """
        Return the file with what a process prints.
        """
        return self.logs / f"{name}.log"

    async def one_ends(self) -> str:
        """
        Wait until one of the processes ends; return its name.
        """
        waits = {asyncio.create_task(process.wait()): name for name, process in self.running.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[next(iter(done))]
        finally:
            for wait in waits:
                wait.cancel()

    async def end(self) -> None:
        """
        End every process, gracefully within a limit.
        """
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await asyncio.gather(*(self._ended(process) for process in self.running.values()))

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
