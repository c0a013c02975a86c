"""
What is made inside the environment: the contract's stubs and Kafka's jars.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stack import packages
from stack.plan import Programs
from stack.settings import Settings

MAVEN_SECONDS = 600
STUBS_SECONDS = 120
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

Say = Callable[[str], None]


class InstallFailed(Exception):
    """Something could not be made; the message ends with what the tool said."""


def stubs(settings: Settings, *, say: Say, force: bool = False) -> None:
    """Build the descriptor set and install the stubs, unless they are of this contract already."""
    stamp = settings.venv / "stubs-of"
    wanted = _fingerprint(settings.checkout / "protos")
    made = settings.checkout / "build" / "descriptors.binpb"
    if not force and made.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    say("protos: building the descriptor set and the stubs")
    _run([sys.executable, str(settings.checkout / "protos" / "build.py")], seconds=STUBS_SECONDS)
    stamp.write_text(wanted)


def kafka(settings: Settings, *, say: Say) -> None:
    """Bring Kafka's jars with Maven, whole or not at all."""
    if settings.kafka_libs.is_dir():
        return
    say("kafka: bringing its jars (54 MB)")
    draft = settings.kafka_libs.with_suffix(f".{os.getpid()}")
    pom = settings.checkout / "stack" / "kafka" / "pom.xml"
    maven = str(packages.which("mvn"))
    try:
        _run(
            [maven, "-q", "-B", "-C", "-f", str(pom), COPY_DEPENDENCIES, f"-DoutputDirectory={draft}"],
            seconds=MAVEN_SECONDS,
        )
        draft.rename(settings.kafka_libs)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def programs() -> Programs:
    """Find the machine's programs; raises `InstallFailed` naming the first that is missing."""
    return Programs(
        postgres_bin=_found("PostgreSQL", packages.postgres_bin()),
        redis=_found("redis-server", packages.which("redis-server")),
        etcd=_found("etcd", packages.which("etcd")),
        prometheus=_found("prometheus", packages.which("prometheus")),
        java=_found("java", packages.java()),
        postgres_user=_postgres_user(),
    )


def _found(name: str, path: Path | None) -> Path:
    if path is None:
        raise InstallFailed(f"{name} is not installed; `make up` installs it")
    return path


def _postgres_user() -> str | None:
    """Root hands PostgreSQL to the user that Debian's package made for it."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwnam("postgres").pw_name


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256(str(folder).encode())
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".proto", ".py", ".toml", ".yaml")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _run(command: list[str], *, seconds: float) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).strip()[-2000:]
        raise InstallFailed(f"{' '.join(command)} ended with {finished.returncode}:\n{said}")
