"""
`proxy-status` of one Envoy: how the clusters, listeners and routes that it has differ from what it was given.
"""

import asyncio
import difflib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from translator.config.discovery import File, to_json
from translator.control import admin
from translator.control.admin import Sections
from translator.control.files import kind_of, read_files
from translator.model.registry import Workload

DATE = "%a, %d %b %Y %H:%M:%S UTC"
CONTEXT_LINES = 3
# By file kind, istioctl's word for it, and where the configuration of an Envoy has it: section, list, path in an item.
COMPARED = {
    "cds": ("Clusters", "ClustersConfigDump", "dynamic_active_clusters", ("cluster",)),
    "lds": ("Listeners", "ListenersConfigDump", "dynamic_listeners", ("active_state", "listener")),
    "rds": ("Routes", "RoutesConfigDump", "dynamic_route_configs", ("route_config",)),
}


def differing(given: Mapping[str, File], sections: Sections) -> set[str]:
    """
    Return the paths of clusters, listeners and routes that an Envoy has with another content than it was given.

    A set of routes that it does not have is not one of them: no listener may use it.
    """
    found = set()
    for path, file in given.items():
        kind = kind_of(path)
        if kind not in COMPARED:
            continue
        mine, theirs = _given_in(file), _had(kind, sections)
        if kind == "rds":
            mine = {name: resource for name, resource in mine.items() if name in theirs}
            theirs = {name: theirs[name] for name in mine}
        if mine != theirs:
            found.add(path)
    return found


def _had(kind: str, sections: Sections) -> dict[str, Any]:
    _, section, items, path = COMPARED[kind]
    found = {}
    for item in sections.get(section, {}).get(items, ()):
        node = item
        for step in path:
            node = node.get(step, {})
        if node:
            found[str(node["name"])] = node
    return found


def _given_in(file: File) -> dict[str, Any]:
    return {str(resource["name"]): resource for resource in json.loads(file.content)["resources"]}


def difference(out: Path, workload: Workload) -> list[str]:
    """
    Return how what an Envoy has of clusters, listeners and routes differs from what it was given.
    """
    sections = asyncio.run(admin.config_dump(workload.admin))
    if sections is None:
        return [f"{workload.full_name} is not running"]
    given = read_files(out / workload.name)
    return [line for kind in COMPARED for line in difference_in(kind, given, sections)]


def difference_in(kind: str, given: Mapping[str, File], sections: Sections) -> Iterator[str]:
    """
    Yield a line that they match, or a unified diff of both sides.
    """
    word, section, *_ = COMPARED[kind]
    files = [file for path, file in given.items() if kind_of(path) == kind]
    mine = {name: resource for file in files for name, resource in _given_in(file).items()}
    left, right = (to_json(side).splitlines() for side in (mine, _had(kind, sections)))
    if left == right:
        at = _last_loaded(sections.get(section, {}), kind)
        yield f"{word} Match" + (f" (RDS last loaded at {at})" if at else "")
        return
    yield f"{word} Don't Match" + (" (RDS)" if kind == "rds" else "")
    yield from difflib.unified_diff(left, right, f"Istiod {word}", f"Envoy {word}", n=CONTEXT_LINES, lineterm="")


def _last_loaded(section: Mapping[str, Any], kind: str) -> str:
    times = [item["last_updated"] for item in section.get("dynamic_route_configs", ()) if "last_updated" in item]
    if kind != "rds" or not times:
        return ""
    return datetime.fromisoformat(max(times)).astimezone(UTC).strftime(DATE)
