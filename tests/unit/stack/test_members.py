"""Which processes of the machine belong to which program of a stack."""

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from stack.run import members
from stack.run.memory import memory_of

FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={})
print(child.pid, flush=True)
input()
child.communicate()
"""


@pytest.fixture
def start(settings):
    """Return a function that starts a process with a child whose environment is empty, and returns both ids."""
    with ExitStack() as processes:

        def start(name, *, address=None):
            named = {members.SUPERVISED_BY: address or members.address(settings), members.SUPERVISED_AS: name}
            words = [sys.executable, "-c", FAMILY]
            pipe = subprocess.PIPE
            process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **named})
            processes.callback(process.communicate, "\n")
            return process.pid, int(process.stdout.readline())

        yield start


def pids(processes):
    return {process.pid for process in processes}


def test_each_program_has_its_processes_and_their_children(settings, start):
    orders, inventory, unknown_to_supervisord = start("orders-0"), start("inventory-0"), start("orders-1")
    start("orders-0", address="unix:///another/stack")
    found = members.of_programs(settings, {"orders-0": orders[0], "inventory-0": inventory[0], "orders-1": 0})
    assert {name: pids(each) for name, each in found.items()} == {
        "orders-0": set(orders),
        "inventory-0": set(inventory),
        "orders-1": set(unknown_to_supervisord),
    }
    assert pids(members.of_program(settings, "orders-0", 0)) == set(orders)


def test_a_program_without_its_environment_is_known_by_its_process_id(settings, start):
    family = start("another name")
    assert pids(members.of_program(settings, "redis", family[0])) == set(family)


def test_memory_is_that_of_all_its_processes(settings, start):
    one = start("orders-0")
    found = memory_of(settings, {"orders-0": one[0], "gone": 0})
    assert found["gone"] == 0
    assert found["orders-0"] > 1024 * 1024
