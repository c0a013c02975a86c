"""
What turning a secret over has in common: the values of its file, and looking who uses which.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runtime.secret_file import fingerprint
from stack.errors import StackError
from stack.progress import Progress
from stack.run import health
from stack.topology import passwords
from stack.topology.addresses import Host, Port
from stack.topology.passwords import write_private
from stack.topology.plan import REPLICAS, Plan

LOOK_S = 60.0
POLL_S = 0.2


class RotationFailed(StackError):
    """Not every part uses the new secret; the old one is still valid."""


@dataclass(frozen=True)
class Rotation:
    """One secret of a running stack that is being rotated."""

    plan: Plan
    progress: Progress

    def give(self, name: str, *values: str) -> None:
        """Write *values* to the file that the services read, the one to use first."""
        write_private(self.plan.settings.secret_files / name, "".join(f"{value}\n" for value in values))

    def keep(self, name: str, value: str) -> None:
        """Make *value* the password that the stack itself knows."""
        passwords.change(self.plan.settings.secrets, name, value)

    def look(self, what: str, value: str, services: Iterable[str]) -> None:
        """
        Wait until every replica of *services* says that it used *value*; raises `RotationFailed`.
        """
        sample = f'secret_in_use{{fingerprint="{fingerprint(value)}",secret="{what}"}} 1.0'
        replicas = [(service, replica) for service in services for replica in REPLICAS]

        def lacking() -> list[str]:
            return [
                f"{service}-{replica}"
                for service, replica in replicas
                if sample not in self._secrets_in_use(service, replica)
            ]

        wait_until_none(lacking, what)
        names = ", ".join(f"{service}-{replica}" for service, replica in replicas)
        self.progress.say(f"{what}: used by {names}")

    def _secrets_in_use(self, service: str, replica: int) -> list[str]:
        at = self.plan.network.at(Host[service.upper()], Port.METRICS, replica)
        _, body = health.get(at, "/metrics", max_bytes=4 * 1024 * 1024)
        return re.findall(r"^secret_in_use\{.*$", body.decode(), re.MULTILINE)


def wait_until_none(lacking: Callable[[], list[str]], what: str, *, within_s: float = LOOK_S) -> None:
    """
    Wait until *lacking* names no part; raises `RotationFailed` with those it still names after *within_s*.
    """
    deadline = time.monotonic() + within_s
    while left := lacking():
        if time.monotonic() > deadline:
            raise RotationFailed(
                f"{what}: not used by {', '.join(left)} within {within_s:.0f} s; the old one is still valid"
            )
        time.sleep(POLL_S)
