"""
Causes an alert, or ends its cause: `python -m chaos.alerts.causes do|undo NAME KEPT ARGUMENTS…`.

KEPT is a file for what ending needs to know. Ending is idempotent, and does nothing for what was never caused.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from typing import Any

import psycopg
from redis.exceptions import RedisError

from chaos.alerts.causes import kafka, machine, memory, mesh, postgres, redis
from runtime.errors import Error
from stack import settings
from stack.errors import StackError
from stack.settings import CHECKOUT

Act = Callable[..., Any]
"""Takes the stack's settings, the file for what ending needs, and the cause's arguments; may be a coroutine."""


@dataclass(frozen=True)
class Cause:
    """What causes an alert, and what ends that."""

    do: Act
    undo: Act


CAUSES: Mapping[str, Cause] = {
    "backups-unwritable": Cause(machine.lock_backups, machine.unlock_backups),
    "crashes": Cause(machine.crash_often, machine.nothing),
    "dead-letters-not-writable": Cause(kafka.stop_dead_letters, kafka.take_dead_letters),
    "dead-letters-refused": Cause(kafka.refuse_dead_letters, kafka.accept_dead_letters),
    "descriptors-limited": Cause(machine.limit_descriptors, machine.raise_descriptors),
    "disk-filled": Cause(machine.fill_disk, machine.free_disk),
    "events-refused": Cause(kafka.refuse_events, kafka.accept_events),
    "ledger-spoiled": Cause(kafka.spoil_ledger, kafka.mend_ledger),
    "memory-exceeded": Cause(memory.exceed, memory.remove_group),
    "message-spoiled": Cause(kafka.spoil_message, kafka.redrive),
    "old-certificates": Cause(mesh.age_certificates, mesh.renew_certificates),
    "old-event-repeated": Cause(kafka.repeat_old_event, machine.nothing),
    "other-version": Cause(mesh.replace_version, mesh.put_version_back),
    "permission-revoked": Cause(postgres.revoke_pruning, postgres.grant_pruning),
    "processors-busy": Cause(machine.keep_processors_busy, machine.leave_processors),
    "reconciler-locked": Cause(postgres.lock_reconciler, postgres.end_sessions),
    "redis-connections": Cause(redis.use_connections, redis.end_connections),
    "redis-full": Cause(redis.lower_limit, redis.raise_limit),
    "replay-frozen": Cause(postgres.freeze_replay, postgres.thaw_replay),
    "rows-dead": Cause(postgres.leave_dead_rows, postgres.end_sessions),
    "single-copy-lost": Cause(kafka.lose_single_copy, kafka.bring_single_copy_back),
    "sold-units-raised": Cause(postgres.raise_sold_units, postgres.lower_sold_units),
    "topic-recreated": Cause(kafka.recreate_topic, kafka.publish_pending),
    "unit-lost": Cause(redis.lose_unit, redis.reconcile),
    "unusable-resource": Cause(mesh.add_unusable, mesh.remove_unusable),
}


def main(words: list[str]) -> int:
    """Do or undo one cause and return the exit code."""
    action, name, kept, *arguments = words
    cause = CAUSES[name]
    act = cause.do if action == "do" else cause.undo
    try:
        result = act(settings.read(os.environ, checkout=CHECKOUT), Path(kept), *arguments)
        if isawaitable(result):
            asyncio.run(_wait(result))
    except (StackError, Error, OSError, psycopg.Error, RedisError, subprocess.SubprocessError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


async def _wait(result: Any) -> None:
    await result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
