"""
Builds and downloads what is not in the Python environment: the contract's stubs, the web pages and Kafka's jars.
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

MAVEN_S = 600
CONTRACT_S = 120
PAGES_S = 300
CONTRACT_SUFFIXES = (".proto", ".py", ".toml", ".yaml", ".lua")
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
# Where there is one jar, its name without the version spares callers from knowing it.
STRIP_VERSION = "-Dmdep.stripVersion=true"

Say = Callable[[str], None]


class InstallFailed(StackError):
    """A build or download failed; the message ends with the tool's output."""


def contract(settings: Settings, *, say: Say, force: bool = False) -> None:
    """
    Build the descriptor set, the stubs and the edge's files, unless they are up to date.
    """
    stamp = settings.checkout / "build" / "contract"
    wanted = _fingerprint(settings.checkout)
    made = settings.checkout / "build" / "istio" / "edge-api.yaml"
    if not force and made.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    say("contract: building the descriptor set, the stubs and the edge's files")
    _run([sys.executable, str(settings.checkout / "protos" / "build.py"), "--no-install"], seconds=CONTRACT_S)
    _run([sys.executable, "-m", "gateway.edge"], seconds=CONTRACT_S)
    stamp.write_text(wanted)


def pages(settings: Settings, *, say: Say) -> None:
    """Build the web pages; the build itself checks whether they are up to date."""
    if not (settings.checkout / "build" / "web").is_dir():
        say("pages: building")
    _run([sys.executable, "-m", "gateway.pages.build"], seconds=PAGES_S)


def kafka(settings: Settings, *, say: Say) -> None:
    """Download Kafka's jars, and the agent that exports its metrics."""
    pom = settings.checkout / "stack" / "kafka" / "pom.xml"
    _jars(settings.kafka_libs, pom, say=lambda: say("kafka: downloading the jars (54 MB)"))
    pom = settings.checkout / "stack" / "kafka-metrics" / "pom.xml"
    _jars(settings.kafka_metrics_libs, pom, STRIP_VERSION, say=lambda: say("kafka: downloading its agent (3 MB)"))


def zipkin(settings: Settings, *, say: Say) -> None:
    """Download the trace viewer, if it is wanted."""
    pom = settings.checkout / "stack" / "zipkin" / "pom.xml"
    if settings.traces:
        _jars(settings.zipkin_libs, pom, STRIP_VERSION, say=lambda: say("zipkin: downloading (135 MB)"))


def _jars(folder: Path, pom: Path, *options: str, say: Callable[[], None]) -> None:
    """Download the artifacts of *pom* into *folder* with Maven, atomically."""
    if folder.is_dir():
        return
    say()
    draft = folder.with_suffix(f".{os.getpid()}")
    maven = str(packages.which("mvn"))
    try:
        _run(
            [maven, "-q", "-B", "-C", "-f", str(pom), COPY_DEPENDENCIES, f"-DoutputDirectory={draft}", *options],
            seconds=MAVEN_S,
        )
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def programs() -> Programs:
    """
    Return the paths of the machine's programs.

    A missing program is named as if it were on PATH: only starting needs it, and the bootstrap has installed it by
    then.
    """
    return Programs(
        postgres_bin=packages.postgres_bin() or Path("/usr/lib/postgresql/15/bin"),
        redis=packages.which("redis-server") or Path("redis-server"),
        etcd=packages.which("etcd") or Path("etcd"),
        prometheus=packages.which("prometheus") or Path("prometheus"),
        alertmanager=packages.which("prometheus-alertmanager") or Path("prometheus-alertmanager"),
        postgres_exporter=packages.which("prometheus-postgres-exporter") or Path("prometheus-postgres-exporter"),
        redis_exporter=packages.which("prometheus-redis-exporter") or Path("prometheus-redis-exporter"),
        node_exporter=packages.which("prometheus-node-exporter") or Path("prometheus-node-exporter"),
        java=packages.java() or Path("java"),
        postgres_user=_postgres_user(),
    )


def _postgres_user() -> str | None:
    """Return the user to run PostgreSQL as: root uses the one of Debian's package."""
    return "postgres" if os.geteuid() == 0 else None


def _fingerprint(checkout: Path) -> str:
    """Return a hash of the files that determine the contract and the edge's files."""
    digest = hashlib.sha256(str(checkout).encode())
    gateway = checkout / "gateway"
    sources = [*(checkout / "protos").rglob("*"), *gateway.glob("*"), *(gateway / "edge").rglob("*")]
    for path in sorted(path for path in sources if path.suffix in CONTRACT_SUFFIXES):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _run(command: list[str], *, seconds: float) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if finished.returncode != 0:
        output = (finished.stdout + finished.stderr).strip()[-2000:]
        raise InstallFailed(f"{' '.join(command)} exited with {finished.returncode}:\n{output}")
