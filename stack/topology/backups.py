"""
pgBackRest's configuration: where the backups and the archived WAL of PostgreSQL are, and how long they are kept.

pgBackRest reaches the server over TCP: the environment (`PGHOST`, `PGPASSWORD`) says where, since its own setting for
that takes nothing but the folder of a socket. The member's folder goes with each call, as the leader may be either.
"""

from pathlib import Path

from stack.settings import Settings
from stack.topology.addresses import Port
from stack.topology.plan import Plan

STANZA = "shop"
ARCHIVE_S = 30
"""A segment of WAL with anything in it is archived after this time at most: what the loss of both members costs."""
FULL_BACKUPS_KEPT = 4
FULL_EVERY_DAYS = 7
PROGRAM = "pgbackrest"


def configuration_file(settings: Settings) -> Path:
    """Return where this stack's configuration of pgBackRest is."""
    return settings.conf / "pgbackrest.conf"


def configuration(plan: Plan) -> str:
    """Return the text of that file."""
    folder = plan.settings.backups
    lines = (
        "[global]",
        f"repo1-path={folder}/repository",
        "repo1-cipher-type=aes-256-cbc",
        f"repo1-cipher-pass={plan.passwords.backups}",
        f"repo1-retention-full={FULL_BACKUPS_KEPT}",
        f"lock-path={folder}/lock",
        f"spool-path={folder}/spool",
        "compress-type=zst",
        "compress-level=1",
        "start-fast=y",
        "archive-timeout=60",
        "log-level-console=off",
        "log-level-file=off",
        "log-level-stderr=warn",
        f"[{STANZA}]",
        f"pg1-port={Port.POSTGRES.value}",
        "pg1-user=postgres",
    )
    return "\n".join(lines) + "\n"


def begun(settings: Settings) -> Path:
    """Return the file that exists from the first backup on: WAL from before it serves no restore."""
    return settings.backups / "begun"


def outcome(settings: Settings) -> Path:
    """Return the file that says when a backup last succeeded and when one last failed, in s since 1970."""
    return settings.backups / "outcome.json"


def not_archived(settings: Settings) -> Path:
    """Return the file that exists while the last WAL that was to be archived is not."""
    return settings.backups / "wal-not-archived"


def archiving(plan: Plan, folder: str) -> dict[str, str]:
    """
    Return the parameters of PostgreSQL by which the member in *folder* archives its WAL while it leads.

    Nothing is archived before the first backup: only a backup makes pgBackRest
    remove old WAL, so a stack of which nobody takes any would fill its disk.
    """
    push, failed = f"{call(plan.settings, folder)} archive-push %p", not_archived(plan.settings)
    noted = f"if {push}; then rm -f {failed}; else touch {failed}; false; fi"
    return {
        "archive_mode": "on",
        "archive_timeout": f"{ARCHIVE_S}s",
        "archive_command": f"test ! -e {begun(plan.settings)} || {noted}",
    }


def call(settings: Settings, folder: str) -> str:
    """Return the command line of pgBackRest for the member in *folder*, to which a command is added."""
    return f"{PROGRAM} --config={configuration_file(settings)} --stanza={STANZA} --pg1-path={folder}"
