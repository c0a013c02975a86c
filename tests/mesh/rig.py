"""
A mesh under test, known by addresses alone: the same on one machine and on a cluster.
"""

import contextlib
import json
import os
import shlex
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.mesh.local import Processes

BACK = "back.mesh-test.svc.cluster.local:50051"
DO = "/test.Back/Do"
SETTLE_S, TAKES_EFFECT_S = 20.0, 5.0


@dataclass(frozen=True)
class Mesh:
    """
    The control addresses of the test applications, the edge's address, and the commands that apply rules.

    `plain` is the address of a back replica's sidecar for clients outside the mesh; in `apply` and `delete`, {} stands
    for the file; `takes_s` is how long rules take to be in force where applying them does not wait for it.
    `status_command` is the local mesh's proxy-status, and `processes` are its processes; a cluster has neither here.
    """

    front: str
    visitor: str
    outsider: str
    backs: Mapping[str, str]
    edge: str
    plain: str
    apply_command: str
    delete_command: str
    renew_command: str = ""
    takes_s: float = 0.0
    status_command: str = ""
    processes: "Processes | None" = None

    @classmethod
    def from_environment(cls) -> "Mesh | None":
        """Return the mesh that MESH_FRONT and the like name, if they are set."""
        if "MESH_FRONT" not in os.environ:
            return None
        backs = dict(pair.split("=", 1) for pair in os.environ["MESH_BACKS"].split(","))
        names = {name: os.environ[f"MESH_{name.upper()}"] for name in ("front", "visitor", "outsider", "edge", "plain")}
        commands = {f"{name}_command": os.environ[f"MESH_{name.upper()}"] for name in ("apply", "delete")}
        more = {
            "renew_command": os.environ.get("MESH_RENEW", ""),
            "takes_s": float(os.environ.get("MESH_TAKES_S", "0")),
        }
        return cls(**names, **commands, backs=backs, **more)  # type: ignore[arg-type]

    def call(
        self, *, by: str = "", path: str = DO, host: str = BACK, times: int = 1, **more: Any
    ) -> list[dict[str, Any]]:
        """Return the responses of a host called by front, or by another application."""
        return _post(f"{by or self.front}/call", {"host": host, "path": path, "times": times, **more})

    def behave(self, name: str, **settings: Any) -> int:
        """Set a back replica to fail or to wait; return the number of calls since the last change."""
        return int(_post(f"{self.backs[name]}/behave", settings)["calls"])

    @contextlib.contextmanager
    def rules(self, text: str) -> Iterator[None]:
        """Apply rules, and delete them at the end."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            self.run(self.apply_command, file.name)
            try:
                time.sleep(self.takes_s)
                yield
            finally:
                self.run(self.delete_command, file.name)

    def run(self, command: str, file: str = "") -> str:
        """Run one of the mesh's commands; raise with its output if it fails."""
        arguments = [part.replace("{}", file) for part in shlex.split(command)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RefusedRules(done.stdout + done.stderr)
        return done.stdout

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> int:
        """Return the status of the edge's response."""
        request = urllib.request.Request(f"{self.edge}{path}", headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def settle(self) -> None:
        """Reset all behaviour, and wait until every replica is called again."""
        for name in self.backs:
            self.behave(name)
        wait_until(lambda: set(self.backs) == {a.get("by") for a in self.call(times=10)}, within_s=SETTLE_S)


class RefusedRules(Exception):
    """The mesh rejects rules; the message is its output."""


def codes(answers: list[dict[str, Any]]) -> Counter[str]:
    """Return how often each code was received."""
    return Counter(answer["code"] for answer in answers)


def virtual_service(http: str, *, subsets: bool = False) -> str:
    """Return rules for calls to back; with *subsets* also v1 and v2."""
    text = f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: back, namespace: mesh-test}}
spec:
  hosts: [back]
  http:
{http}
"""
    return text + ("---" + destination_rule("{}") if subsets else "")


def destination_rule(policy: str) -> str:
    """Return a rule for back with its two subsets."""
    block = "" if policy == "{}" else f"  trafficPolicy: {policy}\n"
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: back, namespace: mesh-test}}
spec:
  host: back
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
{block}"""


def _post(url: str, body: Mapping[str, Any]) -> Any:
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


HERE = Path(__file__).parent
