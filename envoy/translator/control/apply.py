"""
`apply` and `delete`: change a running mesh by a file, as kubectl does on a cluster, and report the result.

What is applied is stored beside the mesh's configuration, not in the folders of files, and replaces the resource of
the same kind and name there; deleting it restores that one.
"""

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from translator.checks.analysis.analyze import brought
from translator.checks.unheard import undelegated, unheard
from translator.checks.validation import Checker, check
from translator.config.names import file_name
from translator.control.files import replace
from translator.control.places import Places, configurations, mesh_of
from translator.model.problems import InvalidMesh, Problem
from translator.model.resources import Resource, parse_resources, shown
from translator.model.yamlfile import load_documents

WAIT_S, POLL_S = 10.0, 0.05
# A running controller may take longer: it waits for each Envoy, and rolls the change back if one is stuck.
BUSY_WAIT_S = 60.0
# The controller checks its Envoys every ten seconds.
CONTROLLER_GONE_S = 30.0


def read_file(path: Path) -> dict[str, tuple[Resource, Any]]:
    """
    Return the validated resources of a file with their source documents, by title.
    """
    documents = load_documents(path, shown(path))
    parsed = parse_resources(shown(path), documents)
    problems = [problem for resource in parsed for problem in check(resource)]
    if problems:
        raise InvalidMesh(problems)
    return {resource.title: (resource, document) for resource, document in zip(parsed, documents, strict=True)}


def apply(places: Places, path: Path, *, wait_s: float = WAIT_S) -> list[str]:
    """
    Apply a file's resources; return lines about the result. A rejected file changes nothing.
    """
    found, checker = read_file(path), Checker()
    old, new = mesh_of(places, checker), mesh_of(places, checker, over=[resource for resource, _ in found.values()])
    configurations(places, new)
    findings = [str(finding) for finding in brought(old, new, found)]
    before = {title: _text(_place(places, title)) for title in found}
    for title, (resource, document) in found.items():
        # As on a cluster, what is new is younger than all that is there; that decides between two for one host.
        created = next((other.created for other in old.of_kind(resource.kind) if other.title == title), _now())
        metadata = {**document["metadata"], "namespace": resource.namespace, "creationTimestamp": created}
        named = {**document, "metadata": metadata}
        replace(_place(places, title), yaml.safe_dump(named, sort_keys=False))
    outcome = _in_force(places, before, wait_s)
    done = [f"{title} {'configured' if before[title] else 'applied'}" for title in found]
    after = mesh_of(places, checker)
    silent = [f"WARNING: {each}" for each in unheard(after) if each.title in found]
    silent += [f"WARNING: {each}" for each in undelegated(after) if each.title in found]
    return [*findings, *done, outcome, *silent]


def delete(places: Places, path: Path, *, wait_s: float = WAIT_S) -> list[str]:
    """
    Delete what was applied from a file; return lines about the result.
    """
    titles = list(read_file(path))
    absent = [title for title in titles if not _place(places, title).exists()]
    if absent:
        raise InvalidMesh([Problem(shown(path), title, "", "is not applied") for title in absent])
    before = {title: _text(_place(places, title)) for title in titles}
    for title in titles:
        _place(places, title).unlink()
    outcome = _in_force(places, before, wait_s)
    return [*(f"{title} deleted" for title in titles), outcome]


def _in_force(places: Places, before: Mapping[str, str], wait_s: float) -> str:
    """
    Return the result of a change that was just written; a rejected one is reverted to *before*.
    """
    try:
        return _await(places, time.time(), wait_s)
    except InvalidMesh:
        _restore(places, before)
        raise


def _now() -> str:
    """
    Return the time as Kubernetes writes it.
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _place(places: Places, title: str) -> Path:
    return places.applied / f"{file_name(title)}.yaml"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _restore(places: Places, before: Mapping[str, str]) -> None:
    for title, text in before.items():
        if text:
            replace(_place(places, title), text)
        else:
            _place(places, title).unlink(missing_ok=True)


def _await(places: Places, started: float, wait_s: float) -> str:
    """
    Wait, within a limit, until the controller has applied the change; `InvalidMesh` if it rejects it.
    """
    is_there = time.time() - _status(places).get("looked_at", 0) < CONTROLLER_GONE_S
    deadline = time.monotonic() + (max(wait_s, BUSY_WAIT_S) if is_there else wait_s)
    while time.monotonic() < deadline:
        status = _status(places)
        if status.get("attempted_at", 0) > started:
            if status.get("error"):
                raise InvalidMesh(_problems(str(status["error"]).splitlines()))
            took_ms = round((time.time() - started) * 1000)
            return f"in force on {_running(status)} running Envoys after {took_ms} ms"
        time.sleep(POLL_S)
    if is_there:
        return f"written; the controller has not reported the result within {BUSY_WAIT_S:.0f} s"
    return "written; no controller is running, so it takes effect when one starts"


def _problems(lines: Iterable[str]) -> list[Problem]:
    return [Problem("", "", "", line) for line in lines]


def _running(status: Mapping[str, Any]) -> int:
    return sum(bool(workload.get("running")) for workload in status.get("workloads", {}).values())


def _status(places: Places) -> dict[str, Any]:
    try:
        status: dict[str, Any] = json.loads((places.out / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return status
