"""
`diff` and `dump`: what a file would change, and the configuration of a sidecar.
"""

import asyncio
import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from translator.checks.analysis.analyze import brought
from translator.checks.validation import Checker
from translator.config.discovery import files_of, to_json
from translator.config.translate import Configuration
from translator.control import admin
from translator.control.apply import read_file
from translator.control.places import Places, configurations, mesh_of
from translator.model.registry import Workload
from translator.model.resources import Resource, shown

CONTEXT_LINES = 3
# Fields that change with every content change and carry no information.
NOISE = '"version_info"'
SECTIONS = {
    "ListenersConfigDump": "listeners",
    "RoutesConfigDump": "routes",
    "ClustersConfigDump": "clusters",
    "EndpointsConfigDump": "endpoints",
    "SecretsConfigDump": "secrets",
}


def diff(places: Places, path: Path | None) -> Iterator[str]:
    """
    Yield the lines that a file changes for each Envoy; without a file, those that the applied resources changed.

    What `istioctl analyze` would warn of then comes after them.
    """
    checker = Checker()
    if path is None:
        bare = Places(places.istio, places.registry, places.certificates, places.out / "none")
        old, new = mesh_of(bare, checker), mesh_of(places, checker)
        titles = {resource.title for kind in new.by_kind.values() for resource in kind if _is_applied(places, resource)}
        before, after = _named(configurations(bare, old)), _named(configurations(places, new))
        # The folder that Envoys read from is the same in both.
        yield from _changes(before, after, str(bare.out), str(places.out))
    else:
        over = [resource for resource, _ in read_file(path).values()]
        old, new = mesh_of(places, checker), mesh_of(places, checker, over=over)
        titles = {resource.title for resource in over}
        yield from _changes(_named(configurations(places, old)), _named(configurations(places, new)))
    yield from (str(finding) for finding in brought(old, new, titles))


def _is_applied(places: Places, resource: Resource) -> bool:
    return resource.file.startswith(shown(places.applied))


def _named(made: Iterable[Configuration]) -> dict[str, Configuration]:
    return {configuration.workload.name: configuration for configuration in made}


def _changes(
    before: dict[str, Configuration], after: dict[str, Configuration], old: str = "", new: str = ""
) -> Iterator[str]:
    for name in sorted(after):
        mine, theirs = files_of(before[name]), files_of(after[name])
        for path in sorted({*mine, *theirs}):
            left = mine[path].content.replace(old, new) if path in mine else ""
            right = theirs[path].content if path in theirs else ""
            if left == right:
                continue
            where = f"{name}/{path}"
            yield from difflib.unified_diff(_lines(left), _lines(right), where, where, n=CONTEXT_LINES, lineterm="")


def _lines(text: str) -> list[str]:
    """
    Return the content as readable lines, one for each field.
    """
    return [line for line in to_json(json.loads(text)).splitlines() if NOISE not in line] if text else []


def dump(workload: Workload) -> str:
    """
    Return the configuration of a running Envoy as JSON by kind; empty if it is not running.
    """
    sections = asyncio.run(admin.config_dump(workload.admin))
    if sections is None:
        return ""
    shown_sections = {SECTIONS[name]: section for name, section in sections.items() if name in SECTIONS}
    return to_json(
        {
            name: {key: value for key, value in section.items() if key != "@type"}
            for name, section in shown_sections.items()
        }
    )
