"""
A partition as a script for `nft`: one table of its own, so that deleting the table undoes it.

Packets are matched by the cgroup of the socket they leave or reach, which identifies the process, and by the address
on which the other side listens: on one machine, outgoing connections have no address of their own. The addresses are
set elements with a timeout, so the kernel itself lifts a partition that is no longer renewed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.partition.parts import Side
from stack.run import cgroups
from stack.topology.addresses import Endpoint

LEASE_S = 8
# nft finds a cgroup by its path below this folder, wherever version 2 is mounted in it.
NFT_ROOT = Path("/sys/fs/cgroup")
NAME = re.compile(r"[a-z0-9_]{1,40}")


@dataclass(frozen=True)
class Partition:
    """What is cut between two sides: all packets, a share of them, or none but with a delay."""

    name: str
    one: Side
    other: Side
    one_way: bool = False  # only what *one* sends to *other*
    loss_percent: int = 100
    delay_ms: int = 0

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"the name {self.name!r} is not 1 to 40 of a-z, 0-9 and _")
        if not 1 <= self.loss_percent <= 100:
            raise ValueError("the loss must be 1 to 100 %")
        if self.delay_ms and self.loss_percent != 100:
            raise ValueError("a partition has either a delay or a loss; make two partitions")

    def describe(self) -> str:
        """Return the partition as text."""
        arrow = "->" if self.one_way else "<->"
        effect = f"{self.delay_ms} ms later" if self.delay_ms else f"{self.loss_percent} % lost"
        return f"{self.one.text} {arrow} {self.other.text}: {effect}"


def prefix(network: int) -> str:
    """Return the prefix of the tables of a stack's partitions."""
    return f"order_system_{network}_"


def table(partition: Partition, network: int) -> str:
    """Return the table of a partition."""
    return f"inet {prefix(network)}{partition.name}"


def made(partition: Partition, *, network: int, cgroup: Path, proxies: tuple[int, int] = (0, 0)) -> str:
    """
    Return the script that puts *partition* in force for `LEASE_S`.

    *cgroup* is the folder of the stack's cgroups; *proxies* are the ports of those that delay the connections of *one*
    and of *other*.
    """
    body = [*_set("one", partition.one), *_set("other", partition.other)]
    rules = _delays(partition, cgroup, proxies) if partition.delay_ms else _drops(partition, cgroup)
    for chain, hook in rules.items():
        body += [f"chain {chain} {{", f"  {hook[0]}", *(f"  {rule}" for rule in hook[1:]), "}"]
    lines = "\n".join(f"  {line}" for line in body)
    comment = f'  comment "{partition.describe()[:120]}"'
    return f"table {table(partition, network)} {{\n{comment}\n{lines}\n}}\n"


def renewed(partition: Partition, network: int) -> str:
    """Return the script that keeps *partition* in force for another `LEASE_S`."""
    name = table(partition, network)
    return "".join(
        f"flush set {name} {one}\nadd element {name} {one} {{ {_elements(each)} }}\n"
        for one, each in (("one", partition.one), ("other", partition.other))
        if each.listens
    )


def _set(name: str, side: Side) -> Iterator[str]:
    elements = f" elements = {{ {_elements(side)} }};" if side.listens else ""
    yield f"set {name} {{ type ipv4_addr . inet_service; flags timeout;{elements} }}"


def _elements(side: Side) -> str:
    return ", ".join(f"{_element(each)} timeout {LEASE_S}s" for each in side.listens)


def _element(endpoint: Endpoint) -> str:
    return f"{endpoint.address} . {endpoint.port}"


def _drops(partition: Partition, cgroup: Path) -> dict[str, list[str]]:
    drop = "drop" if partition.loss_percent == 100 else f"numgen random mod 100 < {partition.loss_percent} drop"
    sends = ["type filter hook output priority 0; policy accept;"]
    receives = ["type filter hook input priority 0; policy accept;"]
    ways = [(partition.one, "one", partition.other, "other")]
    if not partition.one_way:
        ways.append((partition.other, "other", partition.one, "one"))
    for sender, of_sender, receiver, of_receiver in ways:
        # Connections that the sender opened, and those that were opened to it.
        sends += [f"{_socket(cgroup, name)} ip daddr . tcp dport @{of_receiver} {drop}" for name in sender.names]
        receives += [f"{_socket(cgroup, name)} ip saddr . tcp sport @{of_sender} {drop}" for name in receiver.names]
    return {"sends": sends, "receives": receives}


def _delays(partition: Partition, cgroup: Path, proxies: tuple[int, int]) -> dict[str, list[str]]:
    """
    Redirect new connections through a delaying proxy; existing ones are reset, so that they are opened again.
    """
    through = ["type nat hook output priority -100; policy accept;"]
    reset = ["type filter hook output priority 0; policy accept;"]
    both = ((partition.one, "other", proxies[0]), (partition.other, "one", proxies[1]))
    for side, target, port in both:
        for name in side.names:
            match = f"{_socket(cgroup, name)} ip daddr . tcp dport @{target}"
            through.append(f"{match} redirect to :{port}")
            # Only a connection through the proxy has the proxy's address here.
            reset.append(f"{match} reject with tcp reset")
    return {"through": through, "earlier": reset}


def _socket(cgroup: Path, name: str) -> str:
    return f'socket cgroupv2 level {cgroups.LEVEL} "{(cgroup / name).relative_to(NFT_ROOT)}"'
