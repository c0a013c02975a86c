"""The command that cuts the network: what it is told, and the rules that it makes of it."""

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


def test_a_service_is_every_replica_with_its_sidecar_and_a_replica_is_that_one():
    assert side("orders", PROCESSES).names == ("orders-0", "orders-0-envoy", "orders-1")
    assert side("orders-0", PROCESSES).names == ("orders-0", "orders-0-envoy")
    assert side("postgres, mesh", PROCESSES).names == ("mesh", "postgres-0")


@pytest.mark.parametrize("text", ["", ",", "order", "kafka", "orders,kafka"])
def test_a_side_that_is_nobody_is_refused_with_who_there_is(text):
    with pytest.raises(NoSuchPart, match="orders-0-envoy"):
        side(text, PROCESSES)


def test_nothing_is_cut_off_from_itself():
    with pytest.raises(NoSuchPart, match="orders-0, orders-0-envoy cannot be on both sides"):
        apart(side("orders", PROCESSES), side("orders-0", PROCESSES))


def partition(**how):
    return Partition("cut", side("orders-1", PROCESSES), side("postgres", PROCESSES), **how)


def drops(script):
    return [line.strip() for line in script.splitlines() if line.endswith("drop")]


def test_what_either_side_sends_is_dropped_where_it_leaves_and_where_it_arrives():
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


def test_a_loss_takes_so_many_of_a_hundred():
    assert all("numgen random mod 100 < 30 drop" in line
               for line in drops(made(partition(loss_percent=30), network=16, cgroup=CGROUP)))  # fmt: skip


def test_every_element_of_both_sides_is_renewed_at_once():
    script = renewed(partition(), 16)
    assert script.count("flush set") == script.count("add element") == 2
    assert script.count(f"timeout {rules.LEASE_S}s") == 2


@pytest.mark.parametrize("how", [{"loss_percent": 0}, {"loss_percent": 101}, {"loss_percent": 30, "delay_ms": 5}])
def test_what_cannot_be_had_is_refused(how):
    with pytest.raises(ValueError, match="loss"):
        partition(**how)


@pytest.mark.parametrize("name", ["", "x; flush ruleset", "X", "a" * 41])
def test_a_name_that_is_more_than_a_name_is_refused(name):
    with pytest.raises(ValueError, match="name"):
        Partition(name, side("orders", PROCESSES), side("postgres", PROCESSES))


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("200ms", 0.2), ("2m", 120), ("1.5s", 1.5), ("7", 7)])
def test_lengths_of_time_are_understood_as_people_write_them(text, seconds):
    assert command.length(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1h", "nan", "1e9s", "9999999"])
def test_other_lengths_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        command.length(text)


@pytest.mark.parametrize("text", ["0", "101%", "-5", "x"])
def test_other_losses_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        command.percent(text)
