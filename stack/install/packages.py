"""
The Debian packages a stack needs: which are missing, and how to get them.

Standard library only: it runs before anything is installed.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError

POSTGRES_HOME = Path("/usr/lib/postgresql")
POSTGRES_OLDEST = 15
JAVA_OLDEST = 17
JAVA_HOMES = Path("/usr/lib/jvm")
POLICY = Path("/usr/sbin/policy-rc.d")
FONTS = Path("/usr/share/fonts/truetype/dejavu")
APT_SECONDS = 900
# Units that Debian enables when the package comes in; the stack runs its own processes.
UNITS = {
    "nftables": ["nftables"],
    "postgresql-15": ["postgresql"],
    "redis-server": ["redis-server"],
    "etcd-server": ["etcd"],
    "prometheus": ["prometheus"],
}


class MissingPackages(StackError):
    """Packages that are missing and may not be installed by this user; the message lists them."""


@dataclass(frozen=True)
class Requirement:
    """A Debian package and how to see that what it brings is there."""

    package: str
    purpose: str
    present: Callable[[], bool]


def ensure(requirements: Sequence[Requirement], *, say: Callable[[str], None]) -> None:
    """
    Install what is missing, without leaving a daemon of the distribution running.

    Raises `MissingPackages` when neither root nor a password-less sudo is at hand.
    """
    missing = [requirement for requirement in requirements if not requirement.present()]
    if not missing:
        return
    prefix = privilege()
    if prefix is None:
        raise MissingPackages(_advice(missing))
    names = [requirement.package for requirement in missing]
    say(f"packages: installing {' '.join(names)}")
    with _daemons_forbidden(prefix):
        _apt(prefix, "update", "-qq")
        _apt(prefix, "install", "-qq", "-o", "Dpkg::Use-Pty=0", "-y", "--no-install-recommends", *names)
    _disable_units(prefix, names)
    absent = [requirement.package for requirement in missing if not requirement.present()]
    if absent:
        raise MissingPackages(f"installed, but still not usable: {' '.join(absent)}")


def basics() -> list[Requirement]:
    """What every command needs."""
    return [Requirement("python3-venv", "the virtual environment", has_ensurepip)]


def stores(*, kafka_libs: Path) -> list[Requirement]:
    """What starting a stack needs; Maven only until Kafka's jars are there."""
    needed = [
        Requirement("postgresql-15", "orders", lambda: postgres_bin() is not None),
        Requirement("redis-server", "stock", lambda: which("redis-server") is not None),
        Requirement("etcd-server", "PostgreSQL's leader election", lambda: which("etcd") is not None),
        Requirement("prometheus", "metrics", lambda: which("prometheus") is not None),
        Requirement("openjdk-17-jre-headless", "Kafka", lambda: java() is not None),
        Requirement("curl", "make demo", lambda: which("curl") is not None),
    ]
    if not any(kafka_libs.glob("kafka_2.13-*.jar")):
        needed.append(Requirement("maven", "Kafka's jars", lambda: which("mvn") is not None))
    return needed


def browser() -> list[Requirement]:
    """What the tests of the pages need."""
    return [
        Requirement("chromium", "tests of the pages", lambda: which("chromium") is not None),
        Requirement("fonts-dejavu-core", "what the browser writes with", FONTS.is_dir),
    ]


def packet_filter() -> list[Requirement]:
    """What cuts the network between two parts, which only root may."""
    if os.geteuid() != 0:
        return []
    return [Requirement("nftables", "network partitions", lambda: which("nft") is not None)]


def which(program: str) -> Path | None:
    """The program on PATH or in the folders that a user's PATH leaves out on Debian."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path)
    return Path(found) if found else None


def postgres_bin() -> Path | None:
    """The folder of the newest PostgreSQL's programs, 15 or later."""
    versions = sorted(
        (int(folder.parent.name), folder)
        for folder in POSTGRES_HOME.glob("*/bin")
        if folder.parent.name.isdigit() and (folder / "initdb").exists()
    )
    return versions[-1][1] if versions and versions[-1][0] >= POSTGRES_OLDEST else None


def java() -> Path | None:
    """A Java of version 17 or later: the one on PATH, else one of Debian's."""
    usual = which("java")
    others = sorted(JAVA_HOMES.glob("*/bin/java"))
    for program in ([usual] if usual else []) + others:
        if _java_version(program.resolve()) >= JAVA_OLDEST:
            return program
    return None


def _java_version(program: Path) -> int:
    """The major version that the file `release` of a Java's home names; 0 when it does not."""
    try:
        release = (program.parent.parent / "release").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r'JAVA_VERSION="(\d+)', release)
    return int(found[1]) if found else 0


def has_ensurepip() -> bool:
    """Whether this Python can make a virtual environment (Debian splits that off)."""
    return importlib.util.find_spec("ensurepip") is not None


def privilege() -> list[str] | None:
    """What to put before a command that only root may run; None when there is no way."""
    if os.geteuid() == 0:
        return []
    sudo = which("sudo")
    if sudo is None:
        return None
    asked = subprocess.run([sudo, "-n", "true"], capture_output=True, timeout=10, check=False)
    return [str(sudo), "-n"] if asked.returncode == 0 else None


def _advice(missing: Sequence[Requirement]) -> str:
    lines = [f"  {requirement.package:<26}for {requirement.purpose}" for requirement in missing]
    names = " ".join(requirement.package for requirement in missing)
    return "\n".join(
        [
            "These Debian packages are missing, and installing them needs root:",
            *lines,
            f"Run: sudo apt-get install --no-install-recommends {names}",
        ]
    )


def _apt(prefix: Sequence[str], *arguments: str) -> None:
    """Run apt-get; its output is for the terminal, where a person sees progress."""
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *arguments]
    finished = subprocess.run(command, timeout=APT_SECONDS, check=False)
    if finished.returncode != 0:
        raise MissingPackages(f"apt-get {' '.join(arguments)} ended with {finished.returncode}")


@contextlib.contextmanager
def _daemons_forbidden(prefix: Sequence[str]) -> Iterator[None]:
    """
    Let no package start its daemon meanwhile, the way Debian's policy-rc.d(8) describes.

    A policy that the machine already has stays as it is.
    """
    if POLICY.exists():
        yield
        return
    script = "#!/bin/sh\nexit 101\n"
    subprocess.run([*prefix, "tee", POLICY], input=script, text=True, check=True, stdout=subprocess.DEVNULL, timeout=10)
    subprocess.run([*prefix, "chmod", "0755", POLICY], check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run([*prefix, "rm", "-f", POLICY], check=True, timeout=10)


def _disable_units(prefix: Sequence[str], installed: Sequence[str]) -> None:
    """Keep what came in just now from starting at the next boot; older units stay as they are."""
    if not Path("/run/systemd/system").is_dir():
        return
    units = [unit for package in installed for unit in UNITS.get(package, [])]
    if units:
        subprocess.run([*prefix, "systemctl", "disable", "--now", *units], check=False, timeout=60)
