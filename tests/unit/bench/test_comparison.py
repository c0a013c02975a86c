"""The comparison of this checkout with the naive stack: paired rounds, and which processes run."""

import re
from pathlib import Path

import pytest

from bench import quick, sections, tables, versus, whole
from bench.load import Measured
from bench.outage import Outage
from bench.parts import part_of
from bench.peer import environment, programs, stores
from bench.versus import Comparison
from stack import settings
from stack.settings import CHECKOUT
from stack.topology import system
from stack.topology.passwords import Passwords
from stack.topology.plan import Plan, Programs

SERVICE = Path(programs.__file__).parent / "service"


def measured(stack, orders_per_s, cpu_s=1.0, pending=0):
    return Measured(
        stack=stack,
        orders=100,
        pending=pending,
        refused=1,
        broken=2,
        orders_per_s=orders_per_s,
        p50_ms=1.0,
        p99_ms=2.0,
        p999_ms=3.0,
        drain_s=0.5,
        wal_bytes=800.0,
        kafka_bytes=300.0,
        cpu_s={"orders": cpu_s, "redis": 1.0},
    )


ROUNDS = [measured("ours", 400.0), measured("peer", 200.0, 3.0), measured("peer", 100.0, 3.0), measured("ours", 300.0)]


def plan(tmp_path):
    chosen = settings.read({"STATE": str(tmp_path), "PORT": "9181"}, checkout=CHECKOUT)
    names = Passwords.__dataclass_fields__
    programs_there = Programs(**{name: Path(name) for name in Programs.__dataclass_fields__})
    return Plan(settings=chosen, passwords=Passwords(**dict.fromkeys(names, "secret")), programs=programs_there)


def test_ratios_are_computed_per_pair_in_either_order():
    assert versus.ratios(ROUNDS, "orders_per_s") == [2.0, 3.0]
    assert versus.ratios(ROUNDS, "cpu_sum_s") == [0.5, 0.5]


def test_the_ratio_is_the_last_line():
    dead = Outage(load=measured("ours", 500.0, pending=100), backlog=100, drain_s=2.0, drain_cpu_s=1.0)
    table = versus.table(Comparison(rounds=ROUNDS, outages=[dead], idle_cpu_s={"ours": 0.2, "peer": 0.1}))
    last = table.splitlines()[-1]
    assert last.startswith("ours / peer: 2.50 (2.00 to 3.00) the orders/s, 0.50 (0.50 to 0.50) the CPU seconds")
    assert "a backlog of 100 drained in 2.0 s (50/s)" in table


def test_the_document_has_the_ratios_and_every_round():
    document = versus.document(Comparison(rounds=ROUNDS, outages=[], idle_cpu_s={}))
    assert document["ratios"]["orders/s"] == [2.0, 3.0]
    assert [each["cpu_sum_s"] for each in document["rounds"]] == [2.0, 4.0, 4.0, 2.0]


def test_the_table_has_medians_and_sums():
    text = quick.table(ROUNDS, ["ours", "peer"])
    assert re.search(r"orders/s\s+350.00 \(300.00 to 400.00\)\s+150.00", text)
    assert re.search(r"^refused\s+2\s+2$", text, re.MULTILINE)


def test_a_row_sums_the_failures_of_its_rounds():
    cells = tables.row("ours", [ROUNDS[0]]).cells
    assert (cells["failed"], cells["CPU s per 1,000"]) == ([3.0], [2.0])


def test_parts_are_stacked_with_their_sum():
    section = tables.by_part("CPU", {"ours": [{"a": 1.0}, {"a": 2.0, "b": 1.0}]})
    assert section.columns == ("sum", "a", "b")
    assert section.rows[0].cells == {"a": [1.0, 2.0], "b": [0.0, 1.0], "sum": [1.0, 3.0]}


def test_the_run_ends_with_the_ratio_if_it_was_measured():
    ratios = {"orders/s": [2.0, 3.0], "CPU s per 1,000": [0.5], "p99 ms": [0.9], "p50 ms": [1.0]}
    rows = [sections.Row("ours / peer", ratios)]
    line = sections.last_line([sections.Section("Ratios", tuple(ratios), rows)])
    assert line == "ours / peer: 2.50 times the orders/s, 0.50 times the CPU seconds, 0.90 times the p99"
    assert sections.last_line([]) == ""


def test_only_known_measurements_can_be_chosen():
    assert whole._names("closed,reads") == ["closed", "reads"]
    with pytest.raises(whole.argparse.ArgumentTypeError, match="nothing"):
        whole._names("closed,nothing")
    assert whole._counts("100000,1000") == [1000, 100_000]
    for text in ("", "x", "1000,x", "99999999999"):
        with pytest.raises(whole.argparse.ArgumentTypeError):
            whole._counts(text)


@pytest.mark.parametrize(
    ("program", "part"),
    [
        ("orders-0", "orders"),
        ("orders-1-envoy", "orders's sidecars"),
        ("edge-0", "edge"),
        ("kafka-0", "kafka"),
        ("prometheus-0", "rest"),
        ("pages-0-envoy", "rest"),
    ],
)
def test_programs_belong_to_parts(program, part):
    assert part_of(program) == part


def test_the_naive_stack_uses_our_stores_and_nothing_else(tmp_path):
    started = stores.of(system.steps(plan(tmp_path)))
    processes = {name for name in started if not name.endswith(stores.TASKS)}
    assert processes == {"etcd-0", "postgres-0", "postgres-1", "redis-0", "kafka-0"}
    assert set(started) - processes == {"kafka-0-format", "orders-database", "postgres-settings"}


def test_the_naive_stack_has_its_own_database_topics_and_keys(tmp_path):
    environment = programs.environment(plan(tmp_path))
    assert "/peer?" in environment["DATABASE_URL"]
    assert environment["REDIS_URL"].endswith("/1")
    assert environment["ORDER_EVENTS"].startswith("peer_")


def test_the_naive_stack_shares_no_address_with_ours(tmp_path, monkeypatch):
    mine = plan(tmp_path).settings
    other = versus.beside(mine)
    assert other.state != mine.state
    assert (other.port, other.network) != (mine.port, mine.network)
    assert other.network != mine.network


def test_the_naive_stack_imports_none_of_our_packages():
    imported = re.findall(r"^(?:from|import) (\w+)", "".join(p.read_text() for p in SERVICE.glob("*.py")), re.MULTILINE)
    ours = {path.name for path in CHECKOUT.iterdir() if path.is_dir()}
    assert not set(imported) & ours


def test_every_dependency_of_the_naive_stack_is_pinned():
    named = (SERVICE.parent / "requirements.txt").read_text().splitlines()
    locked = set(re.findall(r"^([a-z0-9-]+)==", environment.LOCK.read_text(), re.MULTILINE))
    assert {line.partition("[")[0] for line in named if line and not line.startswith("#")} <= locked
    assert "--index-url" not in environment.LOCK.read_text()
