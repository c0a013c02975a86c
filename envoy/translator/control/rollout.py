"""
Moves running Envoys from one configuration to the next without losing a request, and back if one rejects it.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from translator.config.discovery import File, clusters_file, files_of
from translator.config.translate import Configuration
from translator.control.admin import Loaded, loaded
from translator.control.files import remove_files, write_files
from translator.model.registry import Workload

# An Envoy loads a file in milliseconds; on a busy machine in seconds.
WAIT_S, POLL_S = 10.0, 0.03
FIRST = ("sds/", "eds/", "cds.json")
ALWAYS = ("cds.json", "lds.json")


@dataclass(frozen=True)
class Generation:
    """
    The configuration of every Envoy at one time, with its files.
    """

    configurations: Mapping[str, Configuration] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, File]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """
    What an Envoy did with its new files: whether it runs, the paths it rejected, and those it did not load in time.
    """

    running: bool
    refused: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


def generation(configurations: Iterable[Configuration]) -> Generation:
    """
    Configurations with their files.
    """
    by_name = {configuration.workload.name: configuration for configuration in configurations}
    return Generation(by_name, {name: files_of(configuration) for name, configuration in by_name.items()})


def is_change(before: Generation, after: Generation) -> bool:
    """
    Return whether *after* differs from *before* in more than the ready endpoints.
    """

    def versions(generation: Generation) -> dict[str, dict[str, str]]:
        return {
            name: {path: file.version for path, file in files.items() if not path.startswith("eds/")}
            for name, files in generation.files.items()
        }

    return versions(before) != versions(after)


async def roll_out(
    out: Path, before: Generation, after: Generation, *, must_be_taken: bool = True
) -> dict[str, Result]:
    """
    Give every Envoy its new files; return the result by workload.

    If a step *must_be_taken*, an Envoy that does not load it in time gets no further ones; otherwise it gets them all,
    for whenever it loads them.
    """
    names = sorted(after.configurations)
    results = await asyncio.gather(*(_one(out / name, name, before, after, must_be_taken) for name in names))
    return dict(zip(names, results, strict=True))


async def _one(folder: Path, name: str, before: Generation, after: Generation, must_be_taken: bool) -> Result:
    """
    Make before break: endpoints and clusters, then routes and listeners, then the removals.
    """
    pending: tuple[str, ...] = ()
    files, workload = after.files[name], after.configurations[name].workload
    kept = {path: file for path, file in files.items() if path.startswith(FIRST)}
    kept["cds.json"] = _with_old_clusters(name, before, after)
    rest = {path: file for path, file in files.items() if not path.startswith(FIRST)}
    for step in (kept, rest, files):
        result = await _step(folder, workload, step)
        if result.refused or (result.pending and must_be_taken):
            return result
        pending += result.pending
    remove_files(folder, files)
    return replace(result, pending=tuple(dict.fromkeys(pending)))


def stale(files: Mapping[str, File], state: Loaded) -> list[str]:
    """
    Return the paths of *files* of which an Envoy has a different version.
    """
    return sorted(
        path
        for path, file in files.items()
        if file.version and (path in ALWAYS or _versions(state, file)) and file.version not in _versions(state, file)
    )


def _with_old_clusters(name: str, before: Generation, after: Generation) -> File:
    new = after.configurations[name].clusters
    known = {cluster.name for cluster in new}
    old = before.configurations[name].clusters if name in before.configurations else ()
    gone = [cluster for cluster in old if cluster.name not in known]
    return (
        clusters_file(sorted([*new, *gone], key=lambda cluster: str(cluster.name)))
        if gone
        else after.files[name]["cds.json"]
    )


async def _step(folder: Path, workload: Workload, files: Mapping[str, File]) -> Result:
    earlier = await loaded(workload.admin)
    changed = await asyncio.to_thread(write_files, folder, files)
    if earlier is None:
        return Result(running=False)
    # A subscription that does not exist yet comes with the clusters or the listeners that use it.
    known = [path for path in changed if files[path].version and (path in ALWAYS or _versions(earlier, files[path]))]
    return await wait_until_taken(workload, {path: files[path] for path in known}, earlier)


async def wait_until_taken(workload: Workload, files: Mapping[str, File], earlier: Loaded) -> Result:
    """
    Wait, within a limit, until an Envoy has loaded or rejected each file.
    """
    pending, deadline = dict(files), time.monotonic() + WAIT_S
    while pending:
        now = await loaded(workload.admin)
        if now is None:
            return Result(running=False)
        refused = tuple(path for path, file in pending.items() if _count(now, file) > _count(earlier, file))
        if refused:
            return Result(running=True, refused=refused)
        pending = {path: file for path, file in pending.items() if file.version not in _versions(now, file)}
        if not pending or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_S)
    return Result(running=True, pending=tuple(pending))


def _versions(state: Loaded, file: File) -> set[str]:
    return {version for name, version in state.versions.items() if name.endswith(file.subscription)}


def _count(state: Loaded, file: File) -> int:
    return sum(count for name, count in state.refused.items() if name.endswith(file.subscription))
