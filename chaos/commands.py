"""The commands that inject faults and revert them, the same that a person would use."""

from __future__ import annotations

import asyncio

COMMAND_LIMIT_S = 120


class FaultNotMade(Exception):
    """A fault was not injected or not reverted; the message says which and why."""


async def run(*words: str) -> str:
    """
    Run a command and return its output; raises `FaultNotMade` if it fails, or takes longer than 120 s.
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
        # An interrupted command would be worse than a complete one: the command that reverts it comes later.
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=COMMAND_LIMIT_S)
        raise
    text = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise FaultNotMade(f"{what} did not happen: {text[-500:]}")
    return text
