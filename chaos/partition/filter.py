"""The kernel's packet filter, through `nft`; only the tables of a stack's own partitions are touched."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chaos.partition.rules import NFT_ROOT, prefix
from stack.install.packages import which
from stack.run import cgroups
from stack.settings import Settings

LIMIT_S = 10


class NotAllowed(Exception):
    """A prerequisite of partitions is missing; the message says which, and how to get it."""


@dataclass(frozen=True)
class InForce:
    """A partition that is in the kernel."""

    name: str
    description: str
    lapsed: bool  # not renewed, so it no longer has an effect


class Filter:
    """The packet filter for the partitions of one stack; raises `NotAllowed` without the rights or the program."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._nft = str(program())

    def run(self, script: str) -> None:
        """Run a script atomically; raises `OSError` if the kernel rejects it."""
        done = self._run("-f", "-", text=script)
        if done.returncode != 0:
            raise OSError(f"nft: {done.stderr.strip()[:500]}")

    def partitions(self) -> list[InForce]:
        """Return every partition of this stack that has a table."""
        listed = json.loads(self._run("--json", "list", "tables").stdout or "{}").get("nftables", [])
        names = [each["table"]["name"] for each in listed if "table" in each]
        start = prefix(self._settings.network)
        return [self._partition(name, name[len(start) :]) for name in sorted(names) if name.startswith(start)]

    def heal(self, name: str = "") -> list[str]:
        """Delete the table of partition *name*, or those of all; return the names of those that existed."""
        found = [each.name for each in self.partitions() if name in ("", each.name)]
        for each in found:
            # It may have ended by itself meanwhile.
            self._run("delete", "table", "inet", prefix(self._settings.network) + each)
        return found

    def _partition(self, table: str, name: str) -> InForce:
        listed = json.loads(self._run("--json", "list", "table", "inet", table).stdout or "{}").get("nftables", [])
        comment = next((each["table"].get("comment", "") for each in listed if "table" in each), "")
        elements = [element for each in listed if "set" in each for element in each["set"].get("elem", ())]
        return InForce(name, comment, lapsed=not elements)

    def _run(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._nft, *words], input=text, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )


def program() -> Path:
    """Return the path of `nft`; raises `NotAllowed` without the rights or the program."""
    if os.geteuid() != 0:
        raise NotAllowed("cutting the network needs root (CAP_NET_ADMIN, for nftables, and the right to make cgroups)")
    found = which("nft")
    if found is None:
        raise NotAllowed("cutting the network needs nftables: apt-get install nftables")
    return found


def cgroup_of(settings: Settings) -> Path:
    """Return the folder of the stack's cgroups; raises `NotAllowed` if its processes have none."""
    mounted = cgroups.mount()
    if mounted is None or not mounted.is_relative_to(NFT_ROOT):
        raise NotAllowed(f"cutting the network needs cgroups version 2 mounted below {NFT_ROOT}")
    folder = cgroups.of_stack(settings, mounted)
    if not folder.is_dir():
        raise NotAllowed(f"the stack's processes have no cgroups yet; start it as root: `{settings.command('up')}`")
    return folder
