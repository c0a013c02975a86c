"""
The Debian packages that a stack needs: which are missing, and how to install them.

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
APT_S = 900
EXPORTERS = ("prometheus-postgres-exporter", "prometheus-redis-exporter", "prometheus-node-exporter")
# Units that Debian enables when it installs the package; the stack runs its own processes.
UNITS = {
    "nftables": ["nftables"],
    "postgresql-15": ["postgresql"],
    "redis-server": ["redis-server"],
    "etcd-server": ["etcd"],
    "prometheus": ["prometheus"],
    "prometheus-alertmanager": ["prometheus-alertmanager"],
    **{exporter: [exporter] for exporter in EXPORTERS},
}


class MissingPackages(StackError):
    """Packages are missing and this user may not install them; the message lists them."""


@dataclass(frozen=True)
class Requirement:
    """A Debian package and how to check that its programs are available."""

    package: str
    purpose: str
    present: Callable[[], bool]


def ensure(requirements: Sequence[Requirement], *, say: Callable[[str], None]) -> None:
    """
    Install what is missing, without starting the distribution's daemons.

    Raises `MissingPackages` without root or a passwordless sudo.
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
    """Return what every command needs."""
    return [Requirement("python3-venv", "the virtual environment", has_ensurepip)]


def stores(*, kafka_libs: Path, kafka_metrics_libs: Path) -> list[Requirement]:
    """Return what starting a stack needs; Maven only until Kafka's jars are there."""
    needed = [
        Requirement("postgresql-15", "orders", lambda: postgres_bin() is not None),
        _program("pgbackrest", "backups of orders"),
        _program("redis-server", "stock"),
        _program("etcd-server", "PostgreSQL's leader election", "etcd"),
        _program("prometheus", "metrics"),
        *(_program(exporter, "metrics of a store or of the machine") for exporter in EXPORTERS),
        Requirement("openjdk-17-jre-headless", "Kafka", lambda: java() is not None),
        _program("curl", "make demo"),
    ]
    if not any(kafka_libs.glob("kafka_2.13-*.jar")) or not kafka_metrics_libs.is_dir():
        needed.append(_program("maven", "Kafka's jars", "mvn"))
    return needed


def _program(package: str, purpose: str, program: str | None = None) -> Requirement:
    """Return the requirement of a package that is there if its *program* is, which has the package's name if None."""
    return Requirement(package, purpose, lambda: which(program or package) is not None)


def alertmanager() -> list[Requirement]:
    """Return what notifies somebody of alerts."""
    return [_program("prometheus-alertmanager", "notifications of alerts")]


def browser() -> list[Requirement]:
    """Return what the browser tests need."""
    return [
        _program("chromium", "browser tests"),
        Requirement("fonts-dejavu-core", "fonts for the browser", FONTS.is_dir),
    ]


def packet_filter() -> list[Requirement]:
    """Return what cuts the network between two processes; only root can use it."""
    if os.geteuid() != 0:
        return []
    return [_program("nftables", "network partitions", "nft")]


def which(program: str) -> Path | None:
    """Return the path of a program on PATH, or in the folders that Debian leaves out of a user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path)
    return Path(found) if found else None


def postgres_bin() -> Path | None:
    """Return the folder of the programs of the newest PostgreSQL, 15 or later."""
    versions = sorted(
        (int(folder.parent.name), folder)
        for folder in POSTGRES_HOME.glob("*/bin")
        if folder.parent.name.isdigit() and (folder / "initdb").exists()
    )
    return versions[-1][1] if versions and versions[-1][0] >= POSTGRES_OLDEST else None


def java() -> Path | None:
    """Return a Java of version 17 or later: the one on PATH, else one of Debian's."""
    usual = which("java")
    others = sorted(JAVA_HOMES.glob("*/bin/java"))
    for program in ([usual] if usual else []) + others:
        if _java_version(program.resolve()) >= JAVA_OLDEST:
            return program
    return None


def _java_version(program: Path) -> int:
    """Return the major version in the file `release` of a Java home; 0 if there is none."""
    try:
        release = (program.parent.parent / "release").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r'JAVA_VERSION="(\d+)', release)
    return int(found[1]) if found else 0


def has_ensurepip() -> bool:
    """Return whether this Python can create a virtual environment (Debian packages that separately)."""
    return importlib.util.find_spec("ensurepip") is not None


def privilege() -> list[str] | None:
    """Return the prefix of a command that needs root; None if there is no way to become root."""
    if os.geteuid() == 0:
        return []
    sudo = which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], capture_output=True, timeout=10, check=False)
    return [str(sudo), "-n"] if allowed.returncode == 0 else None


def _advice(missing: Sequence[Requirement]) -> str:
    lines = [f"  {requirement.package:<26}for {requirement.purpose}" for requirement in missing]
    names = " ".join(requirement.package for requirement in missing)
    return "\n".join(
        [
            "These Debian packages are missing; installing them needs root:",
            *lines,
            f"Run: sudo apt-get install --no-install-recommends {names}",
        ]
    )


def _apt(prefix: Sequence[str], *arguments: str) -> None:
    """Run apt-get with its output on the terminal, as progress for the user."""
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *arguments]
    finished = subprocess.run(command, timeout=APT_S, check=False)
    if finished.returncode != 0:
        raise MissingPackages(f"apt-get {' '.join(arguments)} exited with {finished.returncode}")


@contextlib.contextmanager
def _daemons_forbidden(prefix: Sequence[str]) -> Iterator[None]:
    """
    Keep packages from starting their daemons meanwhile, as Debian's policy-rc.d(8) describes.

    An existing policy of the machine is kept.
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
    """
    Disable the units that were just installed, so that they do not start at the next boot; older units are left alone.
    """
    if not Path("/run/systemd/system").is_dir():
        return
    units = [unit for package in installed for unit in UNITS.get(package, [])]
    if units:
        subprocess.run([*prefix, "systemctl", "disable", "--now", *units], check=False, timeout=60)
