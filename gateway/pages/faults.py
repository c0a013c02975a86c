"""Faults in force on one machine: what the VirtualServices in the folders say, and taking them out again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import FailedPrecondition, NotFound, Unavailable

Json = dict[str, Any]
FILES_LIMIT = 1000


class NoSuchFault(NotFound):
    """No VirtualService of that name has a fault."""

    reason = "NO_SUCH_FAULT"


class NotOurFile(FailedPrecondition):
    """The fault stands in a file that holds more than faults; only who wrote it may change it."""

    reason = "FAULT_IN_SHARED_FILE"


class UnreadableFiles(Unavailable):
    """A file of the mesh cannot be read, so nobody knows which faults are in force."""

    reason = "MESH_FILES_UNREADABLE"


class FaultFiles:
    """The VirtualServices in some folders, as the mesh on one machine reads them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    async def active(self) -> list[Json]:
        """
        Return the faults of every VirtualService that has one.
        """
        return await asyncio.to_thread(lambda: [fault for _, fault in self._found()])

    async def lift(self, name: str) -> None:
        """
        Take the faults of VirtualService *name* out of force by removing its file.
        """
        await asyncio.to_thread(self._lift, name)

    def _lift(self, name: str) -> None:
        files = {path for path, fault in self._found() if fault["name"] == name}
        if not files:
            raise NoSuchFault(f"no VirtualService {name} has a fault")
        for path in sorted(files):
            if not all(is_fault(document) for document in _documents(path)):
                raise NotOurFile(f"{path.name} holds more than faults: take the fault out of it there")
        for path in files:
            path.unlink(missing_ok=True)

    def _found(self) -> Iterator[tuple[Path, Json]]:
        for folder in self._folders:
            for path in sorted(folder.glob("*.y*ml"))[:FILES_LIMIT]:
                for document in _documents(path):
                    for fault in faults_of(document):
                        yield path, {**fault, "file": path.name}


def _documents(path: Path) -> list[Json]:
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableFiles(f"{path.name} cannot be read: {type(error).__name__}") from error
    return [document for document in documents if isinstance(document, dict)]


def is_fault(document: Mapping[str, Any]) -> bool:
    """
    Whether a document is there for its faults alone.
    """
    return any(faults_of(document))


def faults_of(document: Mapping[str, Any]) -> Iterator[Json]:
    """
    The faults of a resource: which VirtualService, for whom, what.
    """
    if document.get("kind") != "VirtualService":
        return
    metadata, spec = document.get("metadata") or {}, document.get("spec") or {}
    for number, route in enumerate(spec.get("http") or []):
        fault = route.get("fault") if isinstance(route, dict) else None
        if fault:
            yield {
                "name": metadata.get("name", ""),
                "namespace": metadata.get("namespace", ""),
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
    # Without a percentage Istio injects nothing.
    return f"{(part.get('percentage') or {}).get('value', 0):g}%"
