"""
`proxy-status`: whether every running Envoy has what it was given, in the words and columns of istioctl.

What an Envoy was given is in its folder of files. What it has is what its admin port says: the version of each
subscription, and for clusters, listeners and routes their whole content.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from translator.config.discovery import File
from translator.control import admin
from translator.control.admin import Loaded, Sections
from translator.control.columns import columns
from translator.control.files import kind_of, read_files
from translator.control.proxy_difference import differing
from translator.control.rollout import stale
from translator.model.registry import Workload

SYNCED, STALE, NOT_SENT, ERROR, IGNORED = "SYNCED", "STALE", "NOT SENT", "ERROR", "IGNORED"
# What counts most of a kind with several resources.
ORDER = (ERROR, STALE, NOT_SENT, SYNCED)
# The columns of istioctl, by the folder or file of each kind; nothing here sends extension configuration.
KINDS = {"CDS": "cds", "ECDS": "ecds", "EDS": "eds", "LDS": "lds", "RDS": "rds", "SDS": "sds"}
HEADER = ("NAME", "CLUSTER", *KINDS, "ISTIOD", "VERSION")
# There is no cluster, and the controller stands in for istiod.
CLUSTER, CONTROLLER = "local", "mesh"
S_PER_MINUTE, S_PER_HOUR = 60, 3600


class State(NamedTuple):
    """
    The state of one kind of resources in an Envoy, and the time of its last update in milliseconds since 1970.
    """

    word: str
    updated_ms: int = 0


class Lacking(NamedTuple):
    """
    A file of an Envoy, or a subscription without one, that it does not have, and how.
    """

    what: str
    word: str


@dataclass(frozen=True)
class Status:
    """
    What one Envoy has of what it was given: a state by kind, and each resource that it does not have.
    """

    workload: Workload
    running: bool
    version: str = ""
    states: Mapping[str, State] = field(default_factory=dict)
    lacking: tuple[Lacking, ...] = ()


async def statuses(out: Path, workloads: Iterable[Workload]) -> list[Status]:
    """
    Return the status of every Envoy, by name.
    """
    found = await asyncio.gather(*(_of(out / workload.name, workload) for workload in workloads))
    return sorted(found, key=lambda status: status.workload.full_name)


async def _of(folder: Path, workload: Workload) -> Status:
    state, sections = await asyncio.gather(admin.loaded(workload.admin), admin.config_dump(workload.admin))
    if state is None or sections is None:
        return Status(workload, running=False)
    given = await asyncio.to_thread(read_files, folder)
    return status_in(workload, given, state, sections)


def status_in(workload: Workload, given: Mapping[str, File], state: Loaded, sections: Sections) -> Status:
    """
    Return the status of a running Envoy by what it was given, its statistics and its configuration.
    """
    words, unsent = _words(given, state, sections), sorted(_unsent(given, state))
    states: dict[str, list[State]] = {kind: [] for kind in KINDS.values()}
    for path, word in words.items():
        states[kind_of(path)].append(State(word, _updated_ms(state, given[path])))
    for name in unsent:
        states[_kind_of_subscription(name)].append(State(NOT_SENT))
    return Status(
        workload,
        running=True,
        version=_version(sections),
        states={column: _worst(states[kind]) for column, kind in KINDS.items()},
        lacking=(
            *(Lacking(path, word) for path, word in words.items() if word != SYNCED),
            *(Lacking(name, NOT_SENT) for name in unsent),
        ),
    )


def _words(given: Mapping[str, File], state: Loaded, sections: Sections) -> dict[str, str]:
    """
    Return the state of each resource to which the Envoy subscribes.
    """
    lacking = {*stale(given, state), *differing(given, sections)}
    subscribed = {path for path, file in given.items() if _subscriptions(state.versions, file)}
    return {
        path: SYNCED if path not in lacking else ERROR if _is_refused(state, given[path]) else STALE
        for path in sorted(subscribed | lacking)
    }


def _is_refused(state: Loaded, file: File) -> bool:
    return any(state.refused[name] for name in _subscriptions(state.refused, file))


def _updated_ms(state: Loaded, file: File) -> int:
    return max((state.updated_ms[name] for name in _subscriptions(state.updated_ms, file)), default=0)


def _subscriptions(names: Iterable[str], file: File) -> list[str]:
    return [name for name in names if name.endswith(file.subscription)]


def _unsent(given: Mapping[str, File], state: Loaded) -> list[str]:
    """
    Return the subscriptions of an Envoy for which it was given nothing and has nothing.
    """
    suffixes = tuple(file.subscription for file in given.values())
    return [name for name, version in state.versions.items() if not version and not name.endswith(suffixes)]


def _kind_of_subscription(name: str) -> str:
    if ".rds." in name:
        return "rds"
    return {"cluster": "eds", "sds": "sds", "listener_manager": "lds"}.get(name.partition(".")[0], "cds")


def _worst(found: list[State]) -> State:
    if not found:
        return State(IGNORED)
    word = next(word for word in ORDER if any(state.word == word for state in found))
    return State(word, max(state.updated_ms for state in found))


def _version(sections: Sections) -> str:
    node = sections.get("BootstrapConfigDump", {}).get("bootstrap", {}).get("node", {})
    version = node.get("user_agent_build_version", {}).get("version", {})
    return ".".join(str(version.get(part, 0)) for part in ("major_number", "minor_number", "patch"))


def table(found: Iterable[Status], now_ms: float | None = None) -> list[str]:
    """
    Return the statuses as istioctl prints them at its highest verbosity, and a line for what an Envoy does not have.
    """
    now, all_found = time.time() * 1000 if now_ms is None else now_ms, list(found)
    lines = columns([HEADER, *(_row(status, now) for status in all_found if status.running)])
    for status in all_found:
        name = status.workload.full_name
        lines += [f"{name}: {each.what}: {each.word}" for each in status.lacking]
        lines += [] if status.running else [f"{name} is not running"]
    if any(each.word == ERROR for status in all_found for each in status.lacking):
        lines.append("ERROR: the Envoy refused what it was given; its log says why")
    return lines


def _row(status: Status, now_ms: float) -> tuple[str, ...]:
    cells = (_cell(status.states[column], now_ms) for column in KINDS)
    return (status.workload.full_name, CLUSTER, *cells, CONTROLLER, status.version)


def _cell(state: State, now_ms: float) -> str:
    if not state.updated_ms:
        return state.word
    return f"{state.word} ({age(max(0.0, now_ms - state.updated_ms) / 1000)})"


def age(seconds: float) -> str:
    """
    Return a duration as Kubernetes shows ages: fewer digits the longer it is.
    """
    whole = int(seconds)
    minutes, hours = whole // S_PER_MINUTE, whole // S_PER_HOUR
    if minutes < 2:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m" + (f"{whole % S_PER_MINUTE}s" if whole % S_PER_MINUTE else "")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h" + (f"{minutes % 60}m" if minutes % 60 else "")
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"
