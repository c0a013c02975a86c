import configparser
import json
import shlex
from dataclasses import replace
from pathlib import Path

import yaml

from stack.run import supervisor
from stack.topology import configuration, system
from stores import files


def properties(text):
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value for key, _, value in pairs}


def test_redis_writes_to_disk_before_it_answers_and_never_evicts(plan):
    lines = configuration.redis(plan).splitlines()
    assert "appendonly yes" in lines
    assert "appendfsync always" in lines
    assert "maxmemory-policy noeviction" in lines
    assert f"user default on >p4 {files.redis_rights()}" in lines
    assert "bind 127.77.12.1" in lines


def test_kafka_creates_no_topic_automatically_and_keeps_seven_days(plan):
    read = properties(configuration.kafka(plan, 0))
    assert read["auto.create.topics.enable"] == "false"
    assert read["log.retention.hours"] == "168"
    assert read["listeners"] == "PLAINTEXT://127.77.13.1:9092,CONTROLLER://127.77.13.1:9093"


def test_each_of_three_brokers_knows_all_controllers_and_keeps_three_copies(ha):
    read = [properties(configuration.kafka(ha, broker)) for broker in ha.brokers]
    assert [each["node.id"] for each in read] == ["1", "2", "3"]
    assert {each["controller.quorum.voters"] for each in read} == {
        "1@127.77.13.1:9093,2@127.77.13.2:9093,3@127.77.13.3:9093"
    }
    assert read[2]["listeners"] == "PLAINTEXT://127.77.13.3:9092,CONTROLLER://127.77.13.3:9093"
    assert read[2]["log.dirs"] == f"{ha.settings.data}/kafka-2"
    assert {(each["default.replication.factor"], each["min.insync.replicas"]) for each in read} == {("3", "2")}


def test_a_single_broker_keeps_one_copy(plan):
    read = properties(configuration.kafka(plan, 0))
    assert (read["default.replication.factor"], read["min.insync.replicas"]) == ("1", "1")
    assert read["controller.quorum.voters"] == "1@127.77.13.1:9093"


def test_patroni_keeps_a_synchronous_replica_and_fails_over_at_once(plan):
    agreed = yaml.safe_load(configuration.patroni(plan, 0))["bootstrap"]["dcs"]
    assert agreed["synchronous_mode"] is True
    assert agreed["primary_start_timeout"] == 0


def test_postgresql_members_differ_in_name_folder_and_address(plan):
    first, second = (yaml.safe_load(configuration.patroni(plan, replica)) for replica in (0, 1))
    assert first["scope"] == second["scope"]
    assert first["name"] != second["name"]
    assert first["postgresql"]["listen"] == "127.77.10.1:5432"
    assert second["postgresql"]["listen"] == "127.77.10.2:5432"
    assert first["postgresql"]["data_dir"] != second["postgresql"]["data_dir"]


def test_postgresql_requires_a_password(plan):
    rules = yaml.safe_load(configuration.patroni(plan, 0))["postgresql"]["pg_hba"]
    assert all(rule.endswith(" scram-sha-256") for rule in rules)


def test_prometheus_scrapes_every_store(plan):
    written = {name: json.loads(text) for name, text in configuration.prometheus_targets(plan).items()}
    targets = {
        store: [target for group in written[f"{store}.json"] for target in group["targets"]]
        for store in ("postgres", "redis", "kafka")
    }
    assert targets == {
        "postgres": ["127.77.10.1:9187", "127.77.10.2:9187"],
        "redis": ["127.77.12.1:9121"],
        "kafka": ["127.77.13.1:9404"],
    }
    listening = {str(each) for step in system.processes(system.steps(plan)) for each in step.listens}
    assert {each for some in targets.values() for each in some} <= listening


def test_prometheus_scrapes_each_member_and_each_broker(ha):
    written = {name: json.loads(text) for name, text in configuration.prometheus_targets(ha).items()}
    pods = {
        job: [(group["labels"]["pod"], *group["targets"]) for group in written[f"{job}.json"]]
        for job in ("kafka", "postgres", "patroni")
    }
    assert pods == {
        "kafka": [(f"kafka-{n}", f"127.77.13.{n + 1}:9404") for n in range(3)],
        "postgres": [(f"postgres-{n}", f"127.77.10.{n + 1}:9187") for n in range(3)],
        "patroni": [(f"postgres-{n}", f"127.77.10.{n + 1}:8008") for n in range(3)],
    }
    listening = {str(each) for step in system.processes(system.steps(ha)) for each in step.listens}
    assert {target for some in pods.values() for _, target in some} <= listening


def test_prometheus_scrapes_every_application_and_envoy(plan):
    written = {name: json.loads(text) for name, text in configuration.prometheus_targets(plan).items()}
    applications = {target for group in written["applications.json"] for target in group["targets"]}
    envoys = {target for group in written["envoys.json"] for target in group["targets"]}
    pods = ["127.77.1.1", "127.77.1.2", "127.77.2.1", "127.77.2.2", "127.77.3.1"]
    assert applications == {f"{pod}:9464" for pod in pods}
    assert envoys == {f"{pod}:15000" for pod in [*pods, "127.77.0.1"]}
    assert [group["targets"] for group in written["prometheus.json"]] == [["127.77.14.1:9090"]]


def test_the_translator_accepts_the_registry(plan, tmp_path):
    from translator.model.registry_file import load_registry

    path = tmp_path / "registry.yaml"
    path.write_text(configuration.registry(plan))
    registry = load_registry(path)
    edge = next(workload for workload in registry.workloads if workload.name == "edge-0")
    assert {workload.name for workload in registry.workloads} == {
        "edge-0", "inventory-0", "inventory-1", "orders-0", "orders-1", "pages-0",
    }  # fmt: skip
    assert registry.identity(edge) == "spiffe://cluster.local/ns/shop/sa/edge"
    assert edge.ports == {8080: 8080, 8443: 8443}
    assert [credential.name for credential in registry.credentials] == ["edge-certificate"]


def rendered(plan):
    text = supervisor.render(plan.settings, system.processes(system.steps(plan)))
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return parser


def test_every_process_is_restarted_and_none_starts_out_of_order(plan):
    parser = rendered(plan)
    programs = [parser[section] for section in parser.sections() if section.startswith("program:")]
    assert len(programs) == len(system.processes(system.steps(plan)))
    assert {program["autorestart"] for program in programs} == {"true"}
    assert {program["autostart"] for program in programs} == {"false"}


def test_every_log_is_rotated_within_a_limit(plan):
    parser = rendered(plan)
    for section in parser.sections():
        if section.startswith("program:"):
            assert 0 < int(parser[section]["stdout_logfile_maxbytes"]) <= 10 * 1024 * 1024
            assert 0 < int(parser[section]["stdout_logfile_backups"]) <= 2


def test_a_percent_sign_in_a_value_reaches_the_process(plan):
    from dataclasses import replace

    process = replace(system.processes(system.steps(plan))[0], environment={"KEY": "50%"})
    assert 'environment=KEY="50%%"' in supervisor.render(plan.settings, [process])


def test_supervisord_splits_a_command_as_it_was_joined(plan):
    plan = replace(plan, settings=replace(plan.settings, checkout=Path("/home/ana/my 100% checkout's/of it")))
    written = supervisor.render(plan.settings, system.processes(system.steps(plan)))
    read = configparser.RawConfigParser()
    read.read_string(written)
    for process in system.processes(system.steps(plan)):
        section = read[f"program:{process.name}"]
        assert shlex.split(section["command"].replace("%%", "%")) == list(process.command)
    assert read["program:mesh"]["directory"] == "/home/ana/my 100%% checkout's/of it"
    # Its log configuration, and that of its agent.
    assert read["program:kafka-0"]["command"].count("my 100%% checkout") == 2


def test_as_root_each_process_enters_its_cgroup_before_it_drops_privileges(plan):
    processes = system.processes(system.steps(plan))
    parser = configparser.RawConfigParser()
    parser.read_string(supervisor.render(plan.settings, processes, in_cgroups=Path("/cgroups/of-it")))
    for process in processes:
        section = parser[f"program:{process.name}"]
        words = shlex.split(section["command"].replace("%%", "%"))
        assert words[0] == "/bin/sh"
        assert words[3] == f"/cgroups/of-it/{process.name}"
        assert words[-len(process.command) :] == list(process.command)
        assert "user" not in section
        assert (f"--reuid={process.user}" in words) is (process.user is not None)
