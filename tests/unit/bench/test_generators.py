"""The input of load generators, and the parsing of their output."""

import base64
import json
from types import SimpleNamespace

import pytest

from bench import go_tools, limits, open_loop, reads, rpc, tables
from bench.latencies import called, quantile
from bench.load import LoadFailed
from stack.topology.addresses import Endpoint


def test_quantiles_are_measured_values():
    values = [float(each) for each in range(1, 1001)]
    assert [quantile(values, share) for share in (0.5, 0.99, 0.999)] == [500, 990, 999]
    assert quantile([], 0.99) == 0
    assert quantile([7.0], 0.5) == 7


def test_failed_calls_count_neither_in_latency_nor_in_throughput():
    figures = called([4.0, 2.0, 3.0], failed=5, seconds=2)
    assert (figures.served, figures.per_s, figures.p50_ms, figures.failed) == (3, 1.5, 3.0, 5)


def test_several_ghz_processes_give_one_result():
    one = {"details": [{"latency": 2_000_000, "status": "OK"}, {"latency": 9_000_000, "status": "Unavailable"}]}
    two = {"details": [{"latency": 4_000_000, "status": "OK"}]}
    figures = rpc.together([one, two], 1.0)
    assert (figures.served, figures.failed, figures.p50_ms, figures.p99_ms) == (2, 1, 2.0, 4.0)


def test_a_ghz_run_without_a_success_is_an_error():
    with pytest.raises(LoadFailed, match="served nothing"):
        rpc.together([{"details": None, "errorDistribution": {"refused": 3}}], 1.0)


def test_each_worker_of_ghz_has_a_value_and_the_template_ends():
    template = rpc.by_worker(["a", "b"])
    assert template == "{{if eq .WorkerID `g0c0`}}a{{else}}{{if eq .WorkerID `g1c1`}}b{{else}}a{{end}}{{end}}"


def test_workers_of_ghz_are_named_by_their_connection_too():
    named = rpc.by_worker([str(number) for number in range(10)])
    assert "`g7c7`" in named
    assert "`g8c0`" in named


def test_without_go_a_generator_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(go_tools.NotThere, match="no Go"):
        go_tools.find(SimpleNamespace(tool=lambda name: tmp_path / name), "ghz")


def test_every_call_of_an_open_loop_has_its_own_idempotency_key(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("one\ntwo\n")
    target = SimpleNamespace(tokens=tokens, products=("products/a", "products/b"), edge="http://127.0.0.1:1")
    calls = list(open_loop.calls(target, 5))
    assert len({call["header"]["idempotency-key"][0] for call in calls}) == 5
    assert [call["header"]["authorization"][0] for call in calls[:3]] == ["Bearer one", "Bearer two", "Bearer one"]
    assert json.loads(base64.b64decode(calls[1]["body"])) == {"lines": [{"product": "products/b", "quantity": 1}]}


def test_a_target_without_tokens_gets_no_authorization_header():
    target = SimpleNamespace(tokens=None, products=("products/a",), edge="http://127.0.0.1:1")
    assert all("authorization" not in call["header"] for call in open_loop.calls(target, 2))


def test_vegeta_counts_errors_and_timeouts_as_failed():
    results = [{"code": 201, "latency": 5e6}, {"code": 202, "latency": 7e6}, {"code": 429, "latency": 1e6}]
    lines = [json.dumps(each) for each in (*results, {"code": 0, "latency": 1e10})]
    figures = open_loop.figures(lines, seconds=2)
    assert (figures.served, figures.failed, figures.per_s, figures.p50_ms) == (2, 2, 1.0, 5.0)


def test_pgbench_output_is_parsed():
    assert limits.took_ms("0 199 2241 0 1175850568 995598") == 2.241


def test_the_time_that_pgbench_takes_to_connect_does_not_count():
    output = "initial connection time = 254.254 ms\ntps = 583.277436 (without initial connection time)\n"
    assert limits.per_s(output) == 583.277436
    with pytest.raises(LoadFailed, match="no rate"):
        limits.per_s("pgbench: fatal")


def test_an_envoy_alone_listens_on_the_given_port():
    (listener,) = limits.direct_response(Endpoint("127.9.50.1", 8080))["static_resources"]["listeners"]
    assert listener["address"]["socket_address"] == {"address": "127.9.50.1", "port_value": 8080}


@pytest.mark.parametrize(
    ("kind", "path"),
    [("GetOrder", "/v1/orders/x"), ("ListOrders", "/v1/orders?pageSize=20"), ("ListProducts", "/v1/products")],
)
def test_reads_are_a_path_and_a_token(kind, path):
    assert reads.calls(kind, [("x", "token")]) == [f"{path} token"]


def test_wrk_results_exclude_errors():
    result = {"calls": 30, "refused": 10, "broken": 1, "seconds": 2, "p50_ms": 1, "p99_ms": 2, "p999_ms": 3}
    cells = tables.row_of_wrk("reads", [result], per_s="reads/s").cells
    assert (cells["reads/s"], cells["failed"]) == ([10.0], [11])
