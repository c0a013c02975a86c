"""The command that partitions the network: its arguments, and the packet filter's rules."""

import argparse
from pathlib import Path

import pytest

from chaos.partition import __main__ as command
from chaos.partition import rules
from chaos.partition.parts import NoSuchPart, apart, side
from chaos.partition.rules import Partition, made, renewed
from stack.topology.addresses import Endpoint
from stack.topology.checks import HttpCheck
from stack.topology.processes import Process, Role

CGROUP = Path("/sys/fs/cgroup/unified/order-system-16")


def process(name, address):
    listens = (Endpoint(address, 50051),)
    return Process(name=name, service=name, role=Role.APPLICATION, command=(), check=HttpCheck(*listens, "/"),
                   listens=listens)  # fmt: skip


PROCESSES = [
    process("orders-0", "127.16.1.1"),
    process("orders-0-envoy", "127.16.1.1"),
    process("orders-1", "127.16.1.2"),
    process("postgres-0", "127.16.10.1"),
    process("mesh", "127.16.20.1"),
]


def test_a_service_means_all_its_replicas_with_sidecars():
    assert side("orders", PROCESSES).names == ("orders-0", "orders-0-envoy", "orders-1")
    assert side("orders-0", PROCESSES).names == ("orders-0", "orders-0-envoy")
    assert side("postgres, mesh", PROCESSES).names == ("mesh", "postgres-0")


@pytest.mark.parametrize("text", ["", ",", "order", "kafka", "orders,kafka"])
def test_an_unknown_side_is_rejected_with_the_known_ones(text):
    with pytest.raises(NoSuchPart, match="orders-0-envoy"):
        side(text, PROCESSES)


def test_the_sides_may_not_overlap():
    with pytest.raises(NoSuchPart, match="orders-0, orders-0-envoy cannot be on both sides"):
        apart(side("orders", PROCESSES), side("orders-0", PROCESSES))


def partition(**how):
    return Partition("cut", side("orders-1", PROCESSES), side("postgres", PROCESSES), **how)


def drops(script):
    return [line.strip() for line in script.splitlines() if line.endswith("drop")]


def test_packets_of_both_sides_are_dropped_on_output_and_input():
    script = made(partition(), network=16, cgroup=CGROUP)
    of_orders, of_postgres = (
        f'socket cgroupv2 level 2 "unified/order-system-16/{n}"' for n in ("orders-1", "postgres-0")
    )
    assert drops(script) == [
        f"{of_orders} ip daddr . tcp dport @other drop",
        f"{of_postgres} ip daddr . tcp dport @one drop",
        f"{of_postgres} ip saddr . tcp sport @one drop",
        f"{of_orders} ip saddr . tcp sport @other drop",
    ]
    assert "127.16.10.1 . 50051 timeout 8s" in script


def test_one_way_drops_only_what_the_first_side_sends():
    one_way = drops(made(partition(one_way=True), network=16, cgroup=CGROUP))
    assert [("orders-1" in line, "daddr" in line) for line in one_way] == [(True, True), (False, False)]


def test_a_loss_is_a_percentage_of_packets():
    assert all("numgen random mod 100 < 30 drop" in line
               for line in drops(made(partition(loss_percent=30), network=16, cgroup=CGROUP)))  # fmt: skip


def test_every_element_of_both_sides_is_renewed_at_once():
    script = renewed(partition(), 16)
    assert script.count("flush set") == script.count("add element") == 2
    assert script.count(f"timeout {rules.LEASE_S}s") == 2


@pytest.mark.parametrize("how", [{"loss_percent": 0}, {"loss_percent": 101}, {"loss_percent": 30, "delay_ms": 5}])
def test_contradictory_options_are_rejected(how):
    with pytest.raises(ValueError, match="loss"):
        partition(**how)


@pytest.mark.parametrize("name", ["", "x; flush ruleset", "X", "a" * 41])
def test_a_name_with_nftables_syntax_is_rejected(name):
    with pytest.raises(ValueError, match="name"):
        Partition(name, side("orders", PROCESSES), side("postgres", PROCESSES))


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("200ms", 0.2), ("2m", 120), ("1.5s", 1.5), ("7", 7)])
def test_durations_are_parsed(text, seconds):
    assert command.length(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1h", "nan", "1e9s", "9999999"])
def test_invalid_durations_are_rejected(text):
    with pytest.raises(argparse.ArgumentTypeError):
        command.length(text)


@pytest.mark.parametrize("text", ["0", "101%", "-5", "x"])
def test_invalid_losses_are_rejected(text):
    with pytest.raises(argparse.ArgumentTypeError):
        command.percent(text)
