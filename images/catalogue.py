"""
Every image of the project, and its content-based tag.

Standard library only: images can be built where nothing of the project is installed.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_REGISTRY = "localhost/shop"
NOT_SOURCES = frozenset({"__pycache__", "node_modules", "dist"})


@dataclass(frozen=True)
class Image:
    """An image: the folder of its Dockerfile in `images/`, its inputs, and build arguments."""

    name: str
    folder: str
    inputs: Sequence[str] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def dockerfile(self) -> str:
        """Return the Dockerfile's path in the checkout."""
        return f"images/{self.folder}/Dockerfile"

    def tag(self, checkout: Path = CHECKOUT) -> str:
        """
        Return a tag that changes whenever an input changes.

        Raises `MissingInput` if an input does not exist.
        """
        digest = hashlib.sha256(repr(sorted(self.arguments.items())).encode())
        for path in self._files(checkout):
            digest.update(f"{path.relative_to(checkout)}\0".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]

    def reference(self, registry: str | None = None) -> str:
        """Return the full name, `REGISTRY/NAME:TAG`."""
        return f"{registry or default_registry()}/{self.name}:{self.tag()}"

    def _files(self, checkout: Path) -> Iterator[Path]:
        for name in (f"images/{self.folder}", *self.inputs):
            place = checkout / name
            if not place.exists():
                raise MissingInput(f"{name} does not exist, but the image {self.name} needs it")
            yield from [place] if place.is_file() else sorted(_below(place))


class MissingInput(Exception):
    """An input of an image does not exist; the message names it."""


def default_registry() -> str:
    """Return the default registry, from the variable REGISTRY."""
    return os.environ.get("REGISTRY") or DEFAULT_REGISTRY


def _below(folder: Path) -> Iterator[Path]:
    """Return the files in *folder* that .dockerignore includes."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in NOT_SOURCES:
            continue
        yield from _below(path) if path.is_dir() else [path]


CONTRACT = ("images/contract", "protos")


def _service(name: str) -> Image:
    inputs = (*CONTRACT, "runtime", f"{name}_svc")
    return Image(name, "service", inputs, {"SERVICE": name})


SERVICES = (
    _service("orders"),
    _service("inventory"),
    Image("pages", "pages", (*CONTRACT, "runtime", "gateway", "shop_client", "docs/runbooks.md")),
)
STORES = (
    Image(
        "postgres",
        "postgres",
        (
            "stores/patroni.yml",
            "stores/agree.sh",
            "stores/hand_over.py",
            "stores/monitor.sql",
            "stores/serving.sql",
            "stores/postgres-metrics.yml",
        ),
    ),
    Image(
        "kafka",
        "kafka",
        ("stack/kafka", "stack/kafka-metrics", "stores/kafka.properties", "stores/kafka-metrics.yml"),
    ),
    Image("redis", "redis", ("stores/redis.conf",)),
)
PROMETHEUS = Image("prometheus", "prometheus")
# The counterparts of Kubernetes and Istio, for Docker alone.
DOCKER_ONLY = (
    Image("envoy", "envoy"),
    Image("mesh", "mesh", (*CONTRACT, "runtime", "gateway", "envoy/translator")),
    Image("etcd", "etcd"),
)
CLUSTER = (*SERVICES, *STORES, PROMETHEUS)
EVERYTHING = (*CLUSTER, *DOCKER_ONLY)
