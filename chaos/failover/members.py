"""PostgreSQL's members as Patroni sees them, and the fencing of one that is known to be dead."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos import breakage
from stack.errors import StackError
from stack.run import members
from stack.settings import Settings
from stack.topology.addresses import Host, Port
from stack.topology.plan import Plan
from stores import files

ASK_S = 2.0
IN_SYNC = ("sync_standby", "quorum_standby")
RUNNING = ("running", "streaming")


class NotFenced(StackError):
    """The lease of a leader was not ended, because it is not known to be dead; the message says why."""


@dataclass(frozen=True)
class Members:
    """The role and the state of each member, by name; empty while nobody answers."""

    roles: Mapping[str, str]
    states: Mapping[str, str]

    @property
    def leader(self) -> str:
        """Return who leads; empty if nobody does."""
        return next((name for name, role in self.roles.items() if role == "leader" and self._runs(name)), "")

    @property
    def in_sync(self) -> list[str]:
        """Return the copies that have every acknowledged commit."""
        return sorted(name for name, role in self.roles.items() if role in IN_SYNC and self._runs(name))

    def are_complete(self, names: Sequence[str]) -> bool:
        """Return whether all of *names* run, one leads, and a copy is in sync."""
        return bool(self.leader and self.in_sync) and all(self._runs(name) for name in names)

    def describe(self) -> str:
        """Return who leads and which copies are in sync, as text."""
        others = sorted(name for name in self.roles if self._runs(name) and name not in (self.leader, *self.in_sync))
        return "; ".join(
            (
                f"{self.leader or 'nobody'} leads",
                f"in sync: {', '.join(self.in_sync) or 'none'}",
                *([f"another copy: {', '.join(others)}"] if others else []),
            )
        )

    def _runs(self, name: str) -> bool:
        return self.states.get(name) in RUNNING


async def look(plan: Plan) -> Members:
    """Return the members according to the first that answers."""
    found = await breakage.members([str(address) for address in plan.patroni], ask_s=ASK_S)
    return Members({each["name"]: each["role"] for each in found}, {each["name"]: each["state"] for each in found})


def fence(plan: Plan, member: str) -> None:
    """
    End the lease of the leader *member*, which is known to be dead: the others need not wait until it expires.

    Raises `NotFenced` while a process of it is left, and if another member holds the lease.
    """
    _require_dead(plan.settings, member)
    key = _text(f"/service/{files.patroni()['scope']}/leader")
    change = {
        "compare": [{"key": key, "target": "VALUE", "result": "EQUAL", "value": _text(member)}],
        "success": [{"requestDeleteRange": {"key": key}}],
    }
    answer = _etcd(plan, "kv/txn", change)
    if not answer.get("succeeded"):
        raise NotFenced(f"{member} does not hold the lease of the leader")


def _require_dead(chosen: Settings, member: str) -> None:
    # The server is no descendant of a Patroni that is gone, but has its environment.
    if left := members.of_program(chosen, member, pid=0):
        raise NotFenced(f"{member} is not dead: {len(left)} of its processes are left")


def _text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _etcd(plan: Plan, method: str, question: Mapping[str, Any]) -> dict[str, Any]:
    url = f"http://{plan.network.at(Host.ETCD, Port.ETCD)}/v3/{method}"
    request = urllib.request.Request(url, data=json.dumps(question).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=ASK_S) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found
