"""
Passwords and names that are generated once for a stack and kept in its state folder.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

FILE = "passwords.json"
IN_FILES = ("orders_database", "redis", "page_token_key")
"""The secrets that services read in files, one value a line, so that they change while the services run."""


@dataclass(frozen=True, kw_only=True)
class Passwords:
    """The credentials by which the parts of one stack authenticate each other."""

    postgres_superuser: str
    postgres_replication: str
    orders_database: str
    redis: str  # of the default user, inventory's account
    redis_admin: str
    patroni_api: str
    page_token_key: str  # signs the opaque tokens of list pages
    monitor: str  # of the account that the stores are measured with
    backups: str  # encrypts the backups: without it they are of no use

    def __repr__(self) -> str:
        return "Passwords(…)"


def keep(folder: Path) -> Passwords:
    """
    Read the passwords in *folder*, generating those that are missing.

    New ones of a newer version are added; existing ones never change.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    passwords = read(folder)
    if asdict(passwords) != _known(folder):
        write_private(folder / FILE, json.dumps(asdict(passwords), indent=2) + "\n")
    return passwords


def read(folder: Path) -> Passwords:
    """
    Read the passwords in *folder*; a missing one is generated, but not stored until `keep` is called.
    """
    known = _known(folder)
    return Passwords(**{field.name: known.get(field.name) or secrets.token_hex(24) for field in fields(Passwords)})


def _known(folder: Path) -> dict[str, str]:
    path = folder / FILE
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return known


def keep_files(folder: Path, passwords: Passwords) -> None:
    """
    Write the secrets that services read in files of *folder*; what a file accepts besides is kept.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in IN_FILES:
        value = str(getattr(passwords, name))
        others = [each for each in values_in(folder / name) if each != value]
        write_private(folder / name, "".join(f"{each}\n" for each in (value, *others[:1])))


def values_in(file: Path) -> list[str]:
    """Return the values of a file of secrets, the one in use first; none if there is no file."""
    return file.read_text(encoding="utf-8").split() if file.exists() else []


def change(folder: Path, name: str, value: str) -> None:
    """Store *value* as the password *name* of the stack in *folder*."""
    write_private(folder / FILE, json.dumps(asdict(replace(read(folder), **{name: value})), indent=2) + "\n")


def write_private(path: Path, text: str, *, user: str | None = None) -> None:
    """
    Write *text* atomically to a file that only its owner can read.
    """
    draft = path.with_name(f".{path.name}.draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        os.fsync(file.fileno())
    if user is not None:
        _give(draft, user)
    draft.replace(path)


def _give(path: Path, user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
