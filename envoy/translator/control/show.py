"""
`diff` and `dump`: what a file would change, and the configuration of a sidecar.
"""

import asyncio
import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from translator.checks.validation import Checker
from translator.config.discovery import files_of, to_json
from translator.config.translate import Configuration
from translator.control import admin
from translator.control.apply import read_file
from translator.control.places import Places, configurations
from translator.model.registry import Workload

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
    Return the changed lines for each Envoy: by a file, or without one by what is applied.
    """
    if path is None:
        bare = Places(places.istio, places.registry, places.certificates, places.out / "none")
        before = _named(configurations(bare, Checker()))
        after = _named(configurations(places, Checker()))
        # The folder that Envoys read from is the same in both.
        yield from _changes(before, after, str(bare.out), str(places.out))
        return
    over = [resource for resource, _ in read_file(path).values()]
    before = _named(configurations(places, Checker()))
    after = _named(configurations(places, Checker(), over=over))
    yield from _changes(before, after)


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
    text = asyncio.run(admin.get(workload.admin, "/config_dump?include_eds"))
    if text is None:
        return ""
    found: dict[str, Any] = {}
    for section in json.loads(text).get("configs", ()):
        name = SECTIONS.get(str(section.get("@type", "")).rpartition(".")[2])
        if name:
            found[name] = {key: value for key, value in section.items() if key != "@type"}
    return to_json(found)
