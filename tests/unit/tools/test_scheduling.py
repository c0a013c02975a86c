"""Which process runs which tests that start servers."""

from types import SimpleNamespace

import pytest

from tests.support.scheduling import RIGS, ByServers

ORDERS, INVENTORY = "tests/components/orders/", "tests/components/inventory/"


class Worker:
    """A process of pytest-xdist: it runs what it is sent, in that order."""

    shutting_down = False

    def __init__(self, number):
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.sent = []

    def send_runtest_some(self, indices):
        self.sent += indices

    def shutdown(self):
        self.shutting_down = True


def run(tests, *, processes):
    """Return which tests each process was given, when they run at the same pace."""
    option = SimpleNamespace(loadscopereorder=True)
    config = SimpleNamespace(option=option, getvalue=lambda _: ["popen"] * processes)
    scheduling = ByServers(config, None)
    workers = [Worker(number) for number in range(processes)]
    for worker in workers:
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, tests)
    scheduling.schedule()
    done = [0] * processes
    while any(done[number] < len(worker.sent) for number, worker in enumerate(workers)):
        for number, worker in enumerate(workers):
            if done[number] < len(worker.sent):
                scheduling.mark_test_complete(worker, worker.sent[done[number]])
                done[number] += 1
    return [[tests[index] for index in worker.sent] for worker in workers]


def module(name, count=3):
    return [f"{name}::test_{number}" for number in range(count)]


@pytest.mark.parametrize("rig", RIGS)
def test_the_tests_of_a_rig_are_run_by_one_process(rig):
    of_rig = [test for name in ("a", "b", "c", "d") for test in module(f"{rig}test_{name}.py")]
    others = [test for name in ("a", "b", "c") for test in module(f"{ORDERS}test_{name}.py", 8)]
    found = run([*others, *of_rig], processes=3)
    assert sorted(test for each in found for test in each) == sorted([*others, *of_rig])
    assert [len(set(of_rig) & set(each)) for each in found].count(0) == 2


def test_rigs_begin_first():
    others = [test for name in ("a", "b", "c") for test in module(f"{ORDERS}test_{name}.py", 8)]
    rigs = [f"{rig}test_a.py::test_0" for rig in RIGS]
    assert {each[0] for each in run([*others, *rigs], processes=3)} <= set(rigs)


def test_a_process_goes_on_in_the_folder_whose_servers_it_has_started():
    tests = [
        test
        for name in ("a", "b", "c", "d")
        for folder in (ORDERS, INVENTORY)
        for test in module(f"{folder}test_{name}.py")
    ]
    for each in run(tests, processes=2):
        assert len({test.rpartition("/")[0] for test in each}) == 1


def test_a_process_takes_over_what_another_would_begin_too_late():
    tests = [test for name in ("a", "b", "c", "d") for test in module(f"{ORDERS}test_{name}.py")]
    assert all(run([*tests, *module(f"{INVENTORY}test_a.py")], processes=2))
