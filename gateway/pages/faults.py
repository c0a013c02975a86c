"""
Faults in force on one machine: what the VirtualServices in the mesh's folders say.

What was applied beside the folders of files stands in for the resource of the same name
there, and taking it back lifts its faults; a file that people wrote is theirs to change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import FailedPrecondition, NotFound, Unavailable

Json = dict[str, Any]
FILES_LIMIT = 1000
# Istio injects nothing without a percentage.
NO_PERCENTAGE = 0


class NoSuchFault(NotFound):
    """No VirtualService of that name has a fault."""

    reason = "NO_SUCH_FAULT"


class WrittenFault(FailedPrecondition):
    """The fault stands in a file that people wrote; only they may change it."""

    reason = "FAULT_IN_WRITTEN_FILE"


class MeshUnknown(Unavailable):
    """Nobody can say which faults are in force, because the mesh's resources cannot be read."""

    reason = "MESH_UNKNOWN"


@dataclass(frozen=True)
class Found:
    """A VirtualService and the file it stands in."""

    path: Path
    service: Json

    @property
    def name(self) -> str:
        """Its name."""
        return str((self.service.get("metadata") or {}).get("name", ""))

    @property
    def key(self) -> tuple[str, str]:
        """What another one must have in common with it to stand in for it."""
        return str((self.service.get("metadata") or {}).get("namespace", "default")), self.name


class FaultFiles:
    """The VirtualServices in *folders*, and those applied beside them, as the mesh on one machine reads them."""

    def __init__(self, folders: Sequence[Path], applied: Path | None) -> None:
        self._folders = tuple(folders)
        self._applied = applied

    async def active(self) -> list[Json]:
        """
        Return the faults of every VirtualService that has one; `MeshUnknown` if a file cannot be read.
        """
        return await asyncio.to_thread(self._active)

    async def lift(self, name: str) -> None:
        """
        Take back what was applied as VirtualService *name*; `NoSuchFault`, or `WrittenFault` if people wrote it.
        """
        await asyncio.to_thread(self._lift, name)

    def _active(self) -> list[Json]:
        return [fault | {"file": each.path.name} for each in self._in_force() for fault in faults_of(each.service)]

    def _lift(self, name: str) -> None:
        faulty = [each for each in self._in_force() if each.name == name and any(faults_of(each.service))]
        if not faulty:
            raise NoSuchFault(f"no VirtualService {name} has a fault")
        for each in faulty:
            if each.path.parent != self._applied:
                raise WrittenFault(f"{each.path.name} was written by people: take the fault out of it there")
        for each in faulty:
            each.path.unlink(missing_ok=True)

    def _in_force(self) -> list[Found]:
        folders = [*self._folders, *([self._applied] if self._applied else [])]
        found = [each for folder in folders for each in _services_in(folder)]
        return list({each.key: each for each in found}.values())


def _services_in(folder: Path) -> Iterator[Found]:
    for path in sorted(folder.glob("*.y*ml"))[:FILES_LIMIT]:
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


def faults_of(service: Mapping[str, Any]) -> Iterator[Json]:
    """
    The faults of a VirtualService: on which route, for whom, what.
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
    A fault in words: `delay 2s, 50%; abort 503, 10%`.
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
