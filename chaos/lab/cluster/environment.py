"""A deployment on Kubernetes as an environment of experiments."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from chaos.lab import versions
from chaos.lab.actions import Command, Fault, Scene
from chaos.lab.cluster import in_pod, processes
from chaos.lab.cluster.actions import ClusterFaults, Place
from chaos.lab.cluster.forwards import forwarded
from chaos.lab.cluster.parts import DEPLOYMENT, KINDS, Part, Replicas, unhealthy
from chaos.lab.edge import Edge
from chaos.lab.environment import TOPICS, Addresses
from chaos.lab.experiment import Step
from chaos.truth import NotRead, Published
from k8s import edge, pods, ready
from k8s.kubectl import NAMESPACE, ClusterError, get, kubectl
from stack.errors import StackError
from stack.run import state
from stack.run.lock import exclusive
from stack.settings import Settings

HEALTHY_LIMIT_S = 180.0
POSTGRES, PROMETHEUS = 5432, 9090
TRIES, AGAIN_S = 5, 3.0
READ_S = 330
P = ParamSpec("P")
T = TypeVar("T")


class NotConfirmed(StackError):
    """The word that allows faults on this cluster is missing."""


class Cluster:
    """
    The shop in the namespace NAMESPACE of kubectl's current context, which *confirmed* names: NAMESPACE/CONTEXT.

    Everything is done in that context, also if the current one changes meanwhile. Raises `NotConfirmed` and
    `StackError`.
    """

    def __init__(self, chosen: Settings, confirmed: str) -> None:
        here = _told(ready.place)
        if confirmed != here:
            raise NotConfirmed(f"this would inject faults into {here}: ON={here} confirms it, got {confirmed!r}")
        context = here.partition("/")[2]
        os.environ["KUBE_CONTEXT"] = context
        state.claim(chosen)
        self._chosen = chosen
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", here)
        self._name = f"chaos-{name}"
        self._here = here
        self._replicas = Replicas()
        self._place = Place(NAMESPACE, context)
        self._faults = ClusterFaults(self._place, self)
        self.folder = chosen.run / self._name
        # Not among the stack's, of which the index page shows the latest run of each experiment.
        self.reports = chosen.reports / name

    def command(self, words: str) -> str:
        """Return the command line for this cluster."""
        return self._chosen.command(f"{words} ON={self._here}")

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold this machine's lock of experiments on the cluster; raises `Busy`."""
        with exclusive(self._chosen, self._name):
            yield

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Addresses]:
        """Forward PostgreSQL's and Prometheus's ports to this machine."""
        shop = await asyncio.to_thread(_told, _edge)
        login, database, members = await asyncio.to_thread(_told, _database)
        targets = [(pod, POSTGRES) for pod in members]
        targets += [(pod, PROMETHEUS) for pod in await asyncio.to_thread(_told, pods.of, "prometheus")][:1]
        async with forwarded(self._place, targets) as ports:
            hosts = ",".join(ports[: len(members)])
            url = f"postgresql://{login}@{hosts}/{database}?target_session_attrs=primary"
            prometheus = f"http://{ports[-1]}" if len(ports) > len(members) else ""
            yield Addresses(shop, url, prometheus)

    def require_healthy(self) -> None:
        """Raise `StackError` if a part does not become healthy."""
        end = time.monotonic() + HEALTHY_LIMIT_S
        while bad := self.unhealthy():
            if time.monotonic() > end:
                named = ", ".join(f"{name} ({state})" for name, state in bad.items())
                raise StackError(f"an experiment begins on a healthy system, and {self._here} is not: {named}")
            time.sleep(1)

    def unhealthy(self) -> dict[str, str]:
        """Return the state of each replica that is not ready; everything if the cluster does not answer."""
        try:
            found = get("pods,deployments,statefulsets", "-l", f"app in ({','.join(KINDS)})")
        except ClusterError as error:
            return {"cluster": str(error)}
        by_kind: dict[str, list[dict[str, Any]]] = {"Pod": [], "Deployment": [], "StatefulSet": []}
        for each in found:
            by_kind[each["kind"]].append(each)
        workloads = [*by_kind["Deployment"], *by_kind["StatefulSet"]]
        return unhealthy(workloads, by_kind["Pod"], self._replicas)

    def fault(self, step: Step, scene: Scene) -> Fault:
        """Return the fault of a step."""
        return _told(self._faults.fault, step, scene)

    def refusal(self, step: Step) -> str:
        """Return why a step is not possible on this cluster."""
        return _told(self._faults.refusal, step)

    def start(self, part: str) -> Command:
        """Return the command that gives a workload the size of now."""
        return _told(self._faults.start, part)

    async def roles(self) -> dict[str, str]:
        """Return the role of each member of PostgreSQL."""
        with contextlib.suppress(ClusterError):
            return {each["name"]: each["role"] for each in await asyncio.to_thread(pods.members)}
        return {}

    def log_mark(self) -> PodLogs:
        """Return the logs from now on."""
        return PodLogs(datetime.now(UTC))

    def topic_ends(self) -> dict[str, int]:
        """Return how many records each topic has got."""
        lines = [line.split() for line in _in_pod("ends", *TOPICS)]
        return {topic: int(records) for topic, records in lines}

    def published(self) -> Published:
        """Read `order_events`."""
        found = Published()
        for line in _in_pod("published", "order_events"):
            name, version = line.split()
            if name == "?":
                found.unreadable += 1
            else:
                found.versions[name].append(int(version))
        return found

    def versions(self) -> dict[str, str]:
        """Return the commit, and the versions of Kubernetes and of the images."""
        found = {"commit": versions.all()["commit"], "cluster": self._here}
        server = json.loads(_told(kubectl, "version", "-o", "json"))["serverVersion"]
        found["kubernetes"] = str(server["gitVersion"])
        for each in _told(get, "deployments,statefulsets", "-l", f"app in ({','.join(KINDS)})"):
            image = each["spec"]["template"]["spec"]["containers"][0]["image"]
            found[each["metadata"]["name"]] = str(image).rpartition("/")[2]
        return found

    # What faults depend on.

    def size(self, app: str) -> int:
        """Return how many replicas a workload is to have."""
        words = ("get", KINDS[app], app, "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}")
        return int(kubectl(*words).strip() or 1)

    def pod(self, part: Part) -> str:
        """Return the pod of a replica; raises `LookupError` if there is none now."""
        there = pods.of(part.app)
        if KINDS[part.app] == DEPLOYMENT:
            slots = self._replicas.update(part.app, self.size(part.app), there)
            name = slots[part.replica or 0] if (part.replica or 0) < len(slots) else ""
        else:
            name = f"{part.app}-{part.replica}" if f"{part.app}-{part.replica}" in there else ""
        if not name:
            raise LookupError(f"there is no pod of {part.app} number {part.replica} now")
        return name

    def pods(self, part: Part) -> list[str]:
        """Return the pods of all replicas, or of one; raises `LookupError` if there is none now."""
        found = pods.of(part.app) if part.replica is None else [self.pod(part)]
        if not found:
            raise LookupError(f"there is no pod of {part.app} now")
        return found

    def containers(self, part: Part) -> list[str]:
        """Return the ids of the application's containers; raises `LookupError` if one replica has no pod now."""
        wanted = None if part.replica is None else self.pod(part)
        found = []
        for each in get("pods", "-l", f"app={part.app}"):
            if wanted in (None, each["metadata"]["name"]):
                found += [
                    status["containerID"].rpartition("/")[2]
                    for status in each["status"].get("containerStatuses", [])
                    if status["name"] == part.container and status.get("containerID")
                ]
        return found

    def processes(self, containers: Sequence[str]) -> list[int]:
        """Return those of their processes that are visible here."""
        return processes.of(containers)


class PodLogs:
    """What the pods of today have logged since a time: the log of a pod that is gone is gone with it."""

    def __init__(self, since: datetime) -> None:
        self._since = since.isoformat(timespec="seconds").replace("+00:00", "Z")

    def lines(self, service: str) -> list[str]:
        """Return the lines of a service's pods."""
        container = Part(service).container
        found: list[str] = []
        for pod in pods.of(service):
            with contextlib.suppress(ClusterError):
                words = ("logs", pod, "-n", NAMESPACE, "-c", container, f"--since-time={self._since}")
                found += kubectl(*words).splitlines()
        return found


def _told(call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call, and raise `StackError` for `ClusterError`."""
    try:
        return call(*arguments, **named)
    except ClusterError as error:
        raise StackError(str(error)) from error


def _edge() -> Edge:
    url = os.environ.get("EDGE", "").rstrip("/") or edge.address_of("http")
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ClusterError(f"{url}: the experiments' customers need an edge without TLS; EDGE names another")

    @functools.cache
    def token(name: str, *, operator: bool = False) -> str:
        return edge.issued(name, *(["--operator"] if operator else []))

    return Edge(f"{parts.hostname}:{parts.port or 80}", url, token)


def _database() -> tuple[str, str, list[str]]:
    """Return the login and the database of orders' address, and the members' pods."""
    members = sorted(pods.of("postgres"))
    if not members:
        raise ClusterError("the rows of PostgreSQL are read in its pods, and the namespace has none (app=postgres)")
    [secret] = get("secret", "stores") or [{"data": {}}]
    address = base64.b64decode(secret["data"].get("DATABASE_URL", "")).decode()
    parts = urlsplit(address)
    return parts.netloc.rpartition("@")[0], parts.path.strip("/"), members


def _in_pod(*words: str) -> list[str]:
    """Return what `in_pod` prints in a pod of orders; raises `NotRead` if that fails several times."""
    program = Path(in_pod.__file__).read_text(encoding="utf-8")
    failure = "orders has no pod"
    for _ in range(TRIES):
        try:
            for pod in get("pods", "-l", "app=orders"):
                if pods.ready(pod) and not pods.ending(pod):
                    name = pod["metadata"]["name"]
                    return pods.run_in(name, "python", "-", *words, stdin=program, seconds=READ_S).splitlines()
        except ClusterError as error:
            failure = str(error)
        time.sleep(AGAIN_S)
    raise NotRead(f"Kafka was not read: {failure}")
