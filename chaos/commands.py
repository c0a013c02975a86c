"""The commands that break parts and put them right: what a person can do is what is done."""

from __future__ import annotations

import asyncio

COMMAND_LIMIT_S = 120


class FaultNotMade(Exception):
    """A fault did not happen, or was not put right; the message says which and why."""


async def run(*words: str) -> str:
    """
    Run a command and return what it printed; raises `FaultNotMade` if it fails, or takes longer than 120 s.
    """
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    what = " ".join(words[-2:])
    try:
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_LIMIT_S)
    except TimeoutError:
        process.kill()
        raise FaultNotMade(f"{what} did not happen within {COMMAND_LIMIT_S} s") from None
    except asyncio.CancelledError:
        # Half a command is worse than a whole one: what puts things right comes after it.
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=COMMAND_LIMIT_S)
        raise
    said = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise FaultNotMade(f"{what} did not happen: {said[-500:]}")
    return said
