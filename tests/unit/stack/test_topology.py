from collections import Counter
from dataclasses import replace

import pytest

from stack.topology import system
from stack.topology.processes import Process, Role
from stack.topology.system import UnknownService


def endpoints(plan):
    steps = system.steps(plan)
    return [endpoint for process in system.processes(steps) for endpoint in process.listens]


def test_no_two_processes_share_an_endpoint(plan):
    counted = Counter(endpoints(plan))
    assert [endpoint for endpoint, count in counted.items() if count > 1] == []


def test_everything_listens_on_loopback(plan):
    assert all(endpoint.address.startswith("127.") for endpoint in endpoints(plan))


def test_two_stacks_share_no_endpoint(plan):
    other = replace(plan, settings=replace(plan.settings, port=8081, network=78))
    assert not set(endpoints(plan)) & set(endpoints(other))


def test_only_the_edge_listens_on_the_public_address(plan):
    edge = [endpoint for endpoint in endpoints(plan) if endpoint.address == "127.0.0.1"]
    assert [str(endpoint) for endpoint in edge] == ["127.0.0.1:8080", "127.0.0.1:8443"]


def test_steps_depend_on_existing_steps_without_a_cycle(plan):
    steps = system.steps(plan)
    reached = set()
    while len(reached) < len(steps):
        ready = {name for name, step in steps.items() if name not in reached and step.after <= reached}
        assert ready, f"never begin: {sorted(set(steps) - reached)}"
        reached |= ready


@pytest.mark.parametrize("service", ["orders", "inventory"])
def test_each_service_has_two_replicas_and_a_sidecar_for_each(plan, service):
    steps = system.steps(plan)
    replicas = system.named(system.processes(steps), service)
    assert [process.name for process in replicas] == [f"{service}-0", f"{service}-1"]
    assert all(f"{process.name}-envoy" in steps for process in replicas)


def test_killing_a_service_means_its_applications_only(plan):
    named = system.named(system.processes(system.steps(plan)), "inventory")
    assert {process.role for process in named} == {Role.APPLICATION}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("inventory-0", ["inventory-0"]),
        ("postgres", ["postgres-0", "postgres-1"]),
        ("kafka", ["kafka-0"]),
        ("redis", ["redis-0"]),
        ("edge", ["edge-0"]),
        ("orders-1-envoy", ["orders-1-envoy"]),
    ],
)
def test_a_name_means_a_process_or_a_whole_service(plan, name, meant):
    named = system.named(system.processes(system.steps(plan)), name)
    assert [process.name for process in named] == meant


@pytest.mark.parametrize("store", ["kafka", "postgres"])
def test_the_profile_ha_has_three_of_each_store_that_has_copies(ha, store):
    named = system.named(system.processes(system.steps(ha)), store)
    assert [process.name for process in named] == [f"{store}-{number}" for number in range(3)]


def test_in_the_profile_ha_everything_has_an_endpoint_of_its_own_and_a_place_in_the_order(ha):
    test_no_two_processes_share_an_endpoint(ha)
    test_steps_depend_on_existing_steps_without_a_cycle(ha)


def test_topics_are_made_once_every_broker_that_keeps_a_copy_is_there(ha):
    assert {"kafka-0", "kafka-1", "kafka-2"} <= system.steps(ha)["orders-migrate"].after


def test_the_services_know_every_member_and_every_broker(ha):
    environment = system.steps(ha)["orders-0"].environment
    assert environment["KAFKA_BROKERS"] == "127.77.13.1:9092,127.77.13.2:9092,127.77.13.3:9092"
    assert "@127.77.10.1:5432,127.77.10.2:5432,127.77.10.3:5432/orders?" in environment["DATABASE_URL"]
    assert system.steps(ha)["pages-0"].environment["STORES"].count("Kafka=") == 3


def test_both_profiles_have_the_same_services_in_front_of_the_stores(plan, ha):
    def rest(steps):
        return {name: step.command for name, step in steps.items() if not name.startswith(("kafka-", "postgres-"))}

    assert rest(system.steps(plan)) == rest(system.steps(ha))


def test_an_unknown_name_is_rejected_with_the_known_ones_of_the_stack(plan):
    with pytest.raises(UnknownService, match=r"'warehouse'.*inventory.*orders"):
        system.named(system.processes(system.steps(plan)), "warehouse")


def test_a_service_calls_the_other_through_its_own_sidecar(plan):
    steps = system.steps(plan)
    assert steps["orders-1"].environment["INVENTORY_ADDRESS"] == "127.77.1.2:15001"
    assert steps["orders-1"].environment["INVENTORY_AUTHORITY"] == "inventory.shop.svc.cluster.local:50051"
    assert steps["inventory-0"].environment["ORDERS_ADDRESS"] == "127.77.2.1:15001"


def test_no_command_line_carries_a_password(plan):
    passwords = {"p1", "p2", "p3", "p4", "p5", "p6"}
    words = {word for step in system.steps(plan).values() for word in step.command}
    assert not {word for word in words if any(password in word.split("=") for password in passwords)}


def test_only_postgresql_runs_as_another_user(plan):
    processes = [step for step in system.steps(plan).values() if isinstance(step, Process)]
    assert {process.service for process in processes if process.user} == {"postgres"}
