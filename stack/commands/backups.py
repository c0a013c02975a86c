"""
`make backup` and `make backups`: takes a backup of PostgreSQL, and lists what there is to restore from.
"""

import argparse

from stack.commands.columns import table
from stack.describe import describe
from stack.progress import Progress
from stack.run import pgbackrest
from stack.run.lock import exclusive
from stack.run.running import require_running
from stack.settings import Settings

MIB = 1024 * 1024


def take(chosen: Settings, _options: argparse.Namespace) -> int:
    """Take a backup now."""
    plan = describe(chosen)
    require_running(chosen)
    progress = Progress()
    with exclusive(chosen, "backups"):
        kind = pgbackrest.take(plan)
    last = pgbackrest.read(chosen, plan.programs.postgres_user).backups[-1]
    progress.say(f"backup {last.label} ({kind}): {last.size / MIB:.1f} MiB, {last.stored / MIB:.1f} MiB stored")
    return 0


def show(chosen: Settings, _options: argparse.Namespace) -> int:
    """List the backups; a stopped stack's as well."""
    plan = describe(chosen)
    found = pgbackrest.read(chosen, plan.programs.postgres_user)
    rows = [("BACKUP", "TYPE", "ENDED", "SIZE", "STORED", "WAL")]
    for each in found.backups:
        sizes = (f"{each.size / MIB:.1f} MiB", f"{each.stored / MIB:.1f} MiB")
        rows.append((each.label, each.kind, f"{each.ended:%Y-%m-%dT%H:%M:%SZ}", *sizes, " to ".join(each.wal)))
    print(table(rows))
    if not found.backups:
        print(f"There is no backup yet; take one with `{chosen.command('backup')}`.")
        return 0
    first = f"{found.backups[0].ended:%Y-%m-%dT%H:%M:%SZ}"
    print(f"\nWAL is archived from {found.wal[0]} to {found.wal[1]}.")
    print(f"Any moment after {first} can be restored: `{chosen.command('restore')} TO=latest` or `TO={first}`.")
    return 0
