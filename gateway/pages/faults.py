"""
The faults in force on one machine: those in the VirtualServices in the mesh's folders.

A resource that was applied replaces the resource of the same name in the folders, and deleting it lifts its faults;
the files in the folders are hand-written and not changed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import FailedPrecondition, NotFound, Unavailable

Json = dict[str, Any]
Key = tuple[str, str]
MAX_FILES = 1000
# Istio injects nothing without a percentage.
NO_PERCENTAGE = 0


class NoSuchFault(NotFound):
    """No VirtualService of that name has a fault."""

    reason = "NO_SUCH_FAULT"


class WrittenFault(FailedPrecondition):
    """The fault is in a hand-written file, which the board does not change."""

    reason = "FAULT_IN_WRITTEN_FILE"


class MeshUnknown(Unavailable):
    """The mesh's resources cannot be read, so the faults in force are unknown."""

    reason = "MESH_UNKNOWN"


@dataclass(frozen=True)
class Found:
    """A VirtualService and its file."""

    path: Path
    service: Json

    @property
    def name(self) -> str:
        """Return its name."""
        return self.key[1]

    @property
    def key(self) -> Key:
        """Return the key by which another resource replaces it."""
        return key_of(self.service)


class FaultFiles:
    """The VirtualServices in *folders*, and those that were applied, as the mesh on one machine reads them."""

    def __init__(self, folders: Sequence[Path], applied: Path | None) -> None:
        self._folders = tuple(folders)
        self._applied = applied

    async def active(self) -> list[Json]:
        """
        Return the faults of every VirtualService that has one; raises `MeshUnknown` if a file cannot be read.
        """
        return await asyncio.to_thread(self._active)

    async def lift(self, name: str) -> None:
        """
        Delete what was applied as VirtualService *name*; raises `NoSuchFault`, or `WrittenFault` if it is in a
        hand-written file.
        """
        await asyncio.to_thread(self._lift, name)

    def _active(self) -> list[Json]:
        return faults_in((each.service, each.path.name) for each in self._in_force())

    def _lift(self, name: str) -> None:
        faulty = [each for each in self._in_force() if each.name == name and any(faults_of(each.service))]
        if not faulty:
            raise NoSuchFault(f"no VirtualService {name} has a fault")
        for each in faulty:
            if each.path.parent != self._applied:
                raise WrittenFault(f"{each.path.name} is a hand-written file: remove the fault there")
        for each in faulty:
            each.path.unlink(missing_ok=True)

    def _in_force(self) -> list[Found]:
        folders = [*self._folders, *([self._applied] if self._applied else [])]
        found = [each for folder in folders for each in _services_in(folder)]
        return list({each.key: each for each in found}.values())


def _services_in(folder: Path) -> Iterator[Found]:
    for path in sorted(folder.glob("*.y*ml"))[:MAX_FILES]:
        for document in _documents(path):
            if isinstance(document, dict) and document.get("kind") == "VirtualService":
                yield Found(path, document)


def _documents(path: Path) -> list[Any]:
    try:
        return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MeshUnknown(f"{path.name} cannot be read: {type(error).__name__}") from error


def key_of(service: Mapping[str, Any]) -> Key:
    """Return the namespace and the name of a VirtualService."""
    metadata = service.get("metadata") or {}
    return str(metadata.get("namespace", "default")), str(metadata.get("name", ""))


def faults_in(found: Iterable[tuple[Mapping[str, Any], str]]) -> list[Json]:
    """
    Return the faults of VirtualServices, each given with its file.
    """
    listed = list(found)
    services = [service for service, _ in listed]
    hosts = delegating(services)
    idle = unheard(services) | undelegated(services, hosts)
    return [
        fault
        | {
            "file": file,
            "idle": idle.get(key_of(service), ""),
            "hosts": hosts.get(key_of(service)) or fault["hosts"],
        }
        for service, file in listed
        for fault in faults_of(service)
    ]


def delegating(services: Iterable[Mapping[str, Any]]) -> dict[Key, list[str]]:
    """
    Return the VirtualServices to which others delegate routes, and the hosts of those.
    """
    found: dict[Key, list[str]] = {}
    for service in services:
        spec = service.get("spec") or {}
        for route in spec.get("http") or []:
            delegate = route.get("delegate") if isinstance(route, dict) else None
            if delegate and spec.get("hosts"):
                key = str(delegate.get("namespace") or key_of(service)[0]), str(delegate.get("name", ""))
                found.setdefault(key, []).extend(map(str, spec["hosts"]))
    return found


def undelegated(services: Iterable[Mapping[str, Any]], delegates: Mapping[Key, Any]) -> dict[Key, str]:
    """
    Return the VirtualServices without effect because they have no hosts and no other delegates to them.
    """
    hostless = (key_of(service) for service in services if not (service.get("spec") or {}).get("hosts"))
    return {key: "no VirtualService delegates to it" for key in hostless if key not in delegates}


def unheard(services: Iterable[Mapping[str, Any]]) -> dict[Key, str]:
    """
    Return the VirtualServices without effect: another comes first for each of their hosts.

    That is the oldest, and of those without an age the first by name, as Istio has it. Those of gateways add up.
    """
    first: dict[Key, str] = {}
    behind: dict[Key, str] = {}
    for service in sorted(services, key=_age):
        (namespace, name), spec = key_of(service), service.get("spec") or {}
        if "mesh" not in (spec.get("gateways") or ["mesh"]):
            continue
        # A host's short name and its full one are the same host.
        hosts = [(namespace, str(host).partition(".")[0]) for host in spec.get("hosts") or []]
        if hosts and all(first.setdefault(host, name) != name for host in hosts):
            behind[namespace, name] = f"VirtualService {first[hosts[0]]} of that host comes first"
    return behind


def _age(service: Mapping[str, Any]) -> tuple[str, str]:
    metadata = service.get("metadata") or {}
    return str(metadata.get("creationTimestamp", "")), str(metadata.get("name", ""))


def faults_of(service: Mapping[str, Any]) -> Iterator[Json]:
    """
    Return the faults of a VirtualService: the route, the calls it applies to, and the effect.
    """
    metadata, spec = service.get("metadata") or {}, service.get("spec") or {}
    for number, route in enumerate(spec.get("http") or []):
        fault = route.get("fault") if isinstance(route, dict) else None
        if fault:
            yield {
                "name": metadata.get("name", ""),
                "namespace": metadata.get("namespace", "default"),
                "hosts": spec.get("hosts", []),
                "route": route.get("name", f"http[{number}]"),
                "text": describe(fault),
                "condition": "some calls" if route.get("match") else "every call",
            }


def describe(fault: Mapping[str, Any]) -> str:
    """
    Return a fault as text: `delay 2s, 50%; abort 503, 10%`.
    """
    parts = []
    if delay := fault.get("delay"):
        parts.append(f"delay {delay.get('fixedDelay', '?')}, {_percentage(delay)}")
    if abort := fault.get("abort"):
        code = abort.get("httpStatus") or abort.get("grpcStatus") or "?"
        parts.append(f"abort {code}, {_percentage(abort)}")
    return "; ".join(parts)


def _percentage(part: Mapping[str, Any]) -> str:
    return f"{(part.get('percentage') or {}).get('value', NO_PERCENTAGE):g}%"
