"""
What is made beside the environment: the contract's stubs, the pages and Kafka's jars.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stack.errors import StackError
from stack.install import packages
from stack.settings import Settings
from stack.topology.plan import Programs

MAVEN_SECONDS = 600
CONTRACT_SECONDS = 120
PAGES_SECONDS = 300
CONTRACT_SUFFIXES = (".proto", ".py", ".toml", ".yaml", ".lua")
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

Say = Callable[[str], None]


class InstallFailed(StackError):
    """Something could not be made; the message ends with what the tool said."""


def contract(settings: Settings, *, say: Say, force: bool = False) -> None:
    """
    Build the descriptor set, the stubs and the edge's files, unless they are of this contract already.
    """
    stamp = settings.checkout / "build" / "contract"
    wanted = _fingerprint(settings.checkout)
    made = settings.checkout / "build" / "istio" / "edge-api.yaml"
    if not force and made.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    say("contract: building the descriptor set, the stubs and the edge's files")
    _run([sys.executable, str(settings.checkout / "protos" / "build.py"), "--no-install"], seconds=CONTRACT_SECONDS)
    _run([sys.executable, "-m", "gateway.edge"], seconds=CONTRACT_SECONDS)
    stamp.write_text(wanted)


def pages(settings: Settings, *, say: Say) -> None:
    """Build the web pages; the build itself sees whether they are of these sources already."""
    if not (settings.checkout / "build" / "web").is_dir():
        say("pages: building them")
    _run([sys.executable, "-m", "gateway.pages.build"], seconds=PAGES_SECONDS)


def kafka(settings: Settings, *, say: Say) -> None:
    """Bring Kafka's jars."""
    pom = settings.checkout / "stack" / "kafka" / "pom.xml"
    _jars(settings.kafka_libs, pom, say=lambda: say("kafka: bringing its jars (54 MB)"))


def zipkin(settings: Settings, *, say: Say) -> None:
    """Bring the viewer of traces, if it is wanted."""
    pom = settings.checkout / "stack" / "zipkin" / "pom.xml"
    if settings.traces:
        # One jar, whose name others need not know the version for.
        _jars(settings.zipkin_libs, pom, "-Dmdep.stripVersion=true", say=lambda: say("zipkin: bringing it (135 MB)"))


def _jars(folder: Path, pom: Path, *options: str, say: Callable[[], None]) -> None:
    """Bring what *pom* names to *folder* with Maven, whole or not at all."""
    if folder.is_dir():
        return
    say()
    draft = folder.with_suffix(f".{os.getpid()}")
    maven = str(packages.which("mvn"))
    try:
        _run(
            [maven, "-q", "-B", "-C", "-f", str(pom), COPY_DEPENDENCIES, f"-DoutputDirectory={draft}", *options],
            seconds=MAVEN_SECONDS,
        )
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def programs() -> Programs:
    """
    The machine's programs.

    One that is not there is named as if it were on PATH: only starting needs it, and before
    that the bootstrap has installed it.
    """
    return Programs(
        postgres_bin=packages.postgres_bin() or Path("/usr/lib/postgresql/15/bin"),
        redis=packages.which("redis-server") or Path("redis-server"),
        etcd=packages.which("etcd") or Path("etcd"),
        prometheus=packages.which("prometheus") or Path("prometheus"),
        java=packages.java() or Path("java"),
        postgres_user=_postgres_user(),
    )


def _postgres_user() -> str | None:
    """Root hands PostgreSQL to the user that Debian's package makes for it."""
    return "postgres" if os.geteuid() == 0 else None


def _fingerprint(checkout: Path) -> str:
    """What the files that decide the contract and the edge's files say."""
    digest = hashlib.sha256(str(checkout).encode())
    gateway = checkout / "gateway"
    sources = [*(checkout / "protos").rglob("*"), *gateway.glob("*"), *(gateway / "edge").rglob("*")]
    for path in sorted(path for path in sources if path.suffix in CONTRACT_SUFFIXES):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _run(command: list[str], *, seconds: float) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).strip()[-2000:]
        raise InstallFailed(f"{' '.join(command)} ended with {finished.returncode}:\n{said}")
