"""
Cuts the network between pods, as root on the node of the pods of one side: packet filters in their network namespaces.

The addresses of the other side are elements of a set with a timeout, so the kernel itself lifts a cut that is no longer
renewed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence

TABLE = "inet shop_chaos_lab"
LEASE_S = 8
NFT_S = 10
NEEDED = ("nft", "nsenter")


def refusal() -> str:
    """Return what is missing to cut the network; empty if nothing is."""
    if os.geteuid() != 0:
        return "only root on the node of a pod can filter its packets"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"filtering the packets of a pod takes {' and '.join(missing)}" if missing else ""


def made(addresses: Sequence[str], *, one_way: bool, loss_percent: int) -> str:
    """
    Return nft's script for a pod that loses what comes from *addresses* and, unless *one_way*, what it sends to them.
    """
    share = "" if loss_percent == 100 else f"numgen random mod 100 < {loss_percent} "
    chains = [("in", "input", "saddr"), *([] if one_way else [("out", "output", "daddr")])]
    lines = [f"table {TABLE} {{", "  set others { type ipv4_addr; flags timeout; }"]
    for name, hook, field in chains:
        lines.append(f"  chain {name} {{")
        lines.append(f"    type filter hook {hook} priority -150; policy accept;")
        lines.append(f"    ip {field} @others {share}drop")
        lines.append("  }")
    return "\n".join([*lines, "}", renewed(addresses)])


def renewed(addresses: Sequence[str]) -> str:
    """Return the script that keeps a cut in force for another `LEASE_S`."""
    elements = ", ".join(f"{each} timeout {LEASE_S}s" for each in addresses)
    return f"flush set {TABLE} others\nadd element {TABLE} others {{ {elements} }}\n"


def run(pid: int, script: str) -> str:
    """Run nft in the network namespace of a process; return the error, empty if there is none."""
    command = ["nsenter", f"--target={pid}", "--net", "nft", "-f", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=NFT_S, check=False)
    return "" if done.returncode == 0 else done.stderr.strip()[:300] or f"exit {done.returncode}"


def heal(pids: Iterable[int]) -> None:
    """Delete the table in the network namespaces of processes; without one there is nothing to do."""
    for pid in pids:
        run(pid, f"delete table {TABLE}\n")
