"""
The edge and two replicas of each service behind real sidecars, configured by all of our Istio files.

Nothing checks readiness here, so only the breakers handle a bad replica.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.edge import __main__ as gateway
from gateway.issuer.signing import AUDIENCE, Signer, key_in
from translator.__main__ import main as translator

ROOT = Path(__file__).resolve().parents[3]
NETWORK = 44
EDGE = f"127.{NETWORK}.0.1"
HTTP, ADMIN = f"{EDGE}:8080", f"{EDGE}:15000"
ISSUER = "https://issuer.example.com"
SERVICES = {"orders": 1, "inventory": 2, "pages": 3}
REPLICAS = (0, 1)
START_S, END_S = 60, 10


def address(service: str, replica: int) -> str:
    """
    Return a replica's own loopback address.
    """
    return f"127.{NETWORK}.{SERVICES[service]}.{replica + 1}"


def registry() -> dict[str, Any]:
    """
    Return the registry that Kubernetes would provide.
    """
    edge = _workload("edge-0", "edge", EDGE) | {"kind": "gateway", "ports": {8080: 8080, 8443: 8443}}
    edge["labels"] |= {"istio": "edge", "shop": "shop"}
    sidecars = [_sidecar(service, replica) for service in ("orders", "inventory") for replica in REPLICAS]
    ports = {"pages": {"name": "http", "port": 8081}}
    grpc = {"name": "grpc", "port": 50051}
    services = [
        {"name": name, "namespace": "shop", "selector": {"app": name}, "ports": [ports.get(name, grpc)]}
        for name in SERVICES
    ]
    credentials = [{"name": "edge-certificate", "hosts": ["localhost", EDGE]}]
    return {
        "namespaces": {"shop": {}},
        "services": services,
        "workloads": [edge, *sidecars],
        "credentials": credentials,
    }


def _workload(name: str, app: str, own: str) -> dict[str, Any]:
    labels = {"app": app}
    return {
        "name": name, "namespace": "shop", "serviceAccount": app, "labels": labels, "address": own,
        "admin": f"{own}:15000",
    }  # fmt: skip


def _sidecar(service: str, replica: int) -> dict[str, Any]:
    own = address(service, replica)
    return _workload(f"{service}-{replica}", service, own) | {
        "inbound": [{"port": 50051, "application": f"{own}:50061"}],
        "outbound": [{"port": 50051, "listen": f"{own}:15001"}],
    }


def _istio(folder: Path) -> Path:
    """
    Return our files, with the issuer's keys inlined instead of fetched.
    """
    copied = folder / "istio"
    shutil.copytree(ROOT / "istio", copied)
    file = copied / "customers.yaml"
    documents = list(yaml.safe_load_all(file.read_text()))
    [rule] = documents[0]["spec"]["jwtRules"]
    del rule["jwksUri"]
    keys = json.dumps({"keys": [signer(folder).public]})
    rule.update({"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": keys})
    file.write_text(yaml.safe_dump_all(documents))
    (copied / "kustomization.yaml").unlink()
    return copied


def signer(folder: Path) -> Signer:
    """
    Return the issuer whose tokens the edge accepts.
    """
    return Signer(key_in(folder), ISSUER)


@dataclass(frozen=True)
class Rig:
    """
    The running system: processes by name, and the edge's address.
    """

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]]

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """
        Stop a process with SIGSTOP for a while: it keeps its connections and answers nothing.
        """
        self.processes[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes[name].send_signal(signal.SIGCONT)

    def kill(self, name: str) -> None:
        """
        Kill a process.
        """
        self.processes[name].kill()
        self.processes[name].wait(END_S)

    @contextlib.contextmanager
    def killed(self, service: str, replica: int) -> Iterator[None]:
        """
        Kill an application, whose sidecar stays; restart it at the end.
        """
        name = f"{service}-{replica}"
        self.kill(name)
        try:
            yield
        finally:
            self.processes[name] = _application(self.folder, service, replica)
            _listening(address(service, replica), 50061)

    def restart_sidecar(self, name: str) -> None:
        """
        Start a sidecar that was killed.
        """
        self.processes[f"{name}-envoy"] = _envoy(self.folder, name)
        _listening(f"127.{NETWORK}.{SERVICES[name[:-2]]}.{int(name[-1]) + 1}", 50051)

    def statistic(self, part: str, of: str = EDGE) -> int:
        """
        Return the sum of an Envoy's statistics whose names contain *part*.
        """
        lines = httpx.get(f"http://{of}:15000/stats", params={"usedonly": ""}).text.splitlines()
        values = [line.rpartition(": ")[2] for line in lines if part in line]
        return sum(int(value) for value in values if value.isdigit())

    def ejections(self, of: str = EDGE) -> int:
        """
        Return how many ejections an Envoy has made since it started.
        """
        return self.statistic("outlier_detection.ejections_enforced_total", of)

    def ejected(self, of: str = EDGE) -> int:
        """
        Return how many replicas an Envoy has ejected at the moment.
        """
        return self.statistic("outlier_detection.ejections_active", of)

    def settle(self) -> None:
        """
        Wait until no replica is ejected.
        """
        end = time.monotonic() + START_S
        while self.ejected():
            assert time.monotonic() < end, "a replica does not come back"
            time.sleep(0.1)

    def token(self, customer: str, *, operator: bool = False) -> str:
        """
        Return a customer's token.
        """
        return signed(self.folder, customer, operator=operator)


def signed(folder: Path, customer: str, *, operator: bool = False) -> str:
    """
    Return a customer's token, valid for an hour.
    """

    return signer(folder).token(customer, now=datetime.now(UTC), lifetime=timedelta(hours=1), operator=operator)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Rig]:
    """
    Start everything, and stop it at the end.
    """
    _configure(folder)
    rig = Rig(folder, {})
    try:
        for service in ("orders", "inventory"):
            for replica in REPLICAS:
                rig.processes[f"{service}-{replica}"] = _application(folder, service, replica)
                rig.processes[f"{service}-{replica}-envoy"] = _envoy(folder, f"{service}-{replica}")
        for service in ("orders", "inventory"):
            for replica in REPLICAS:
                _listening(address(service, replica), 50061)
        rig.processes["edge-0"] = _envoy(folder, "edge-0")
        _wait(folder)
        yield rig
    finally:
        for process in rig.processes.values():
            process.kill()
            process.wait(END_S)


def _configure(folder: Path) -> None:
    (folder / "registry.yaml").write_text(yaml.safe_dump(registry()))
    gateway.main(["--output", str(folder / "made"), "--openapi", str(folder / "openapi.json")])
    places = [f"--registry={folder / 'registry.yaml'}"]
    certificates = f"{folder / 'certificates'}"
    written = [f"--istio={_istio(folder)}", f"--istio={folder / 'made'}", f"--certificates={certificates}"]
    for command in (
        ["certificates", *places, f"--out={certificates}"],
        ["write", *written, *places, f"--out={folder / 'envoy'}"],
    ):
        assert not translator(command), "the translator refuses the files; see above"


def _application(folder: Path, service: str, replica: int) -> subprocess.Popen[bytes]:
    place = f"{address(service, replica)}:50061"
    command = [sys.executable, "-m", "tests.components.edge.shop", service, place]
    return _start(folder, f"{service}-{replica}", command)


def _envoy(folder: Path, name: str) -> subprocess.Popen[bytes]:
    program = str(Path(sysconfig.get_path("scripts")) / "envoy")
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    bootstrap = str(folder / "envoy" / name / "bootstrap.json")
    return _start(folder, f"{name}-envoy", [program, "--config-path", bootstrap, *options])


def _start(folder: Path, name: str, command: list[str]) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def _listening(host: str, port: int) -> None:
    """
    Wait until something accepts connections there.
    """
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end, f"nothing listens at {host}:{port}"
            time.sleep(0.1)


def _wait(folder: Path) -> None:
    """
    Wait until every replica has responded.
    """
    end = time.monotonic() + START_S
    while not _whole(folder):
        assert time.monotonic() < end, f"the rig did not start; its logs are in {folder}"
        time.sleep(0.2)


def _whole(folder: Path) -> bool:
    headers = {"authorization": f"Bearer {signed(folder, 'rig')}"}
    try:
        with httpx.Client(base_url=f"http://{HTTP}", headers=headers, timeout=5) as client:
            return all(client.get(path).status_code == 200 for path in ["/v1/orders", "/v1/products"] * 10)
    except httpx.TransportError:
        return False
