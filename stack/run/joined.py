"""
A service of one's own in the mesh of a running stack: its entry in the registry, its identity, its sidecar's files.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from stack.errors import StackError
from stack.run import health
from stack.run.lock import exclusive
from stack.run.running import require_running
from stack.settings import Settings
from stack.topology import configuration, workloads
from stack.topology.passwords import write_private
from stack.topology.plan import Plan
from stack.topology.processes import Process

NAME = re.compile(r"[a-z]([-a-z0-9]{0,40}[a-z0-9])?")
MAX_JOINED = 100
# The controller waits for each Envoy, and takes the change back if one is stuck.
TIMEOUT_S, POLL_S = 60.0, 0.05


class CannotJoin(StackError):
    """A service may not join the mesh, or its controller refuses it; the message says why."""


@contextmanager
def joined(plan: Plan, name: str) -> Iterator[Process]:
    """
    Keep the service *name* in the mesh while the context lasts; yields its sidecar, to be started.

    Raises `CannotJoin`.
    """
    require_running(plan.settings)
    with exclusive(plan.settings, "registry"):
        entry, place = _entry(plan, name)
        entry.parent.mkdir(exist_ok=True)
        # In one step, since the controller watches the folder.
        write_private(entry, configuration.joined_entry(plan, name, place))
    try:
        _wait_until_known(plan.settings, f"{name}-0", time.time())
        yield workloads.sidecar(plan, name, place)
    finally:
        entry.unlink(missing_ok=True)


def _entry(plan: Plan, name: str) -> tuple[Path, int]:
    """Return the file of *name* in the registry, and a free number for its addresses."""
    if not NAME.fullmatch(name):
        raise CannotJoin(f"SVC={name!r} is not a service's name: lower-case letters, digits and hyphens, 42 at most")
    if name in _accounts(plan.settings.conf / "registry.yaml"):
        raise CannotJoin(f"{name} is a service of the stack itself; choose another name")
    entry = plan.settings.joined / f"{name}.yaml"
    addresses = {file.name: _addresses(file) for file in plan.settings.joined.glob("*.yaml") if file != entry}
    taken = {address for found in addresses.values() for address in found}
    for place in range(MAX_JOINED):
        sidecar = workloads.sidecar(plan, name, place)
        if sidecar.listens[0].address not in taken:
            if health.ask(sidecar.check).good:
                raise CannotJoin(f"a sidecar runs at {sidecar.listens[0].address} already; end it first")
            return entry, place
    raise CannotJoin(f"{MAX_JOINED} services have joined already; remove what is left over from {plan.settings.joined}")


def _accounts(registry: Path) -> set[str]:
    return {workload["serviceAccount"] for workload in _workloads(registry)}


def _addresses(file: Path) -> list[str]:
    return [workload.get("address", "") for workload in _workloads(file)]


def _workloads(file: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("workloads", [])
    except FileNotFoundError:  # who joined has left meanwhile
        return []
    return found


def _wait_until_known(settings: Settings, workload: str, since: float) -> None:
    """Wait until the mesh's controller has taken the entry, and so has written the sidecar's files and identity."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        status = health.mesh_status(settings.mesh / "status.json")
        if status.get("attempted_at", 0) > since:
            if error := status.get("error"):
                raise CannotJoin(f"the mesh refuses it:\n{error}")
            if workload in status.get("workloads", {}):
                return
        time.sleep(POLL_S)
    raise CannotJoin(f"the mesh's controller has not taken {workload} within {TIMEOUT_S:.0f} s; `make status` says why")
