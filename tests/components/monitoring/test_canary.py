"""The judge of k8s/progressive/argo-rollouts: its queries, which promtool evaluates on good and bad canaries."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from stack.settings import CHECKOUT
from tests.support.alerts import MONITORING

ANALYSIS = CHECKOUT / "k8s/progressive/argo-rollouts/analysis.yaml"
METRICS = {
    metric["name"]: metric
    for template in yaml.safe_load_all(ANALYSIS.read_text())
    for metric in template["spec"]["metrics"]
}
POD = 'job="applications", service="inventory", pod="inventory-{}-x1"'
STABLE, CANARY = POD.format("55d8"), POD.format("7f9c")


def calls(pod, code, values):
    return {
        "series": f'grpc_server_handled_total{{{pod}, grpc_method="HoldStock", grpc_code="{code}"}}',
        "values": values,
    }


def result(tmp_path, metric, *series):
    """Return what Argo Rollouts has as `result[0]` after ten minutes, by asking promtool for each guess."""
    query = METRICS[metric]["provider"]["prometheus"]["query"].replace("{{args.canary}}", "7f9c")
    rules = {"groups": [{"name": "canary", "rules": [{"record": "canary", "expr": query}]}]}
    test = {
        "interval": "30s", "input_series": list(series),
        "promql_expr_test": [{"expr": "canary", "eval_time": "10m", "exp_samples": [{"labels": "none", "value": -1}]}],
    }  # fmt: skip
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "30s", "tests": [test]})
    )
    done = subprocess.run(
        [shutil.which("promtool"), "test", "rules", str(tmp_path / "test.yml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    # It is meant to fail, and to say what it got.
    [value] = re.findall(
        r"got:\s*(?:canary|\{__name__=\"canary\"\}|\S*canary\S*) ([0-9.eE+-]+)", done.stdout + done.stderr
    ) or [done.stdout + done.stderr]
    return float(value)


def good(metric, value):
    """Evaluate a success condition of one comparison."""
    left, comparison, limit = METRICS[metric]["successCondition"].split()
    assert left == "result[0]"
    return {"<": value < float(limit), ">=": value >= float(limit), "==": value == float(limit)}[comparison]


def test_a_canary_without_faults_goes_on_whatever_the_stable_version_does(tmp_path):
    series = calls(CANARY, "OK", "0+30x20"), calls(STABLE, "OK", "0+300x20"), calls(STABLE, "INTERNAL", "0+300x20")
    assert good("faults", result(tmp_path, "faults", *series))


def test_a_canary_that_fails_one_call_in_fifty_goes_back(tmp_path):
    series = calls(CANARY, "OK", "0+49x20"), calls(CANARY, "INTERNAL", "0+1x20"), calls(STABLE, "OK", "0+900x20")
    assert not good("faults", result(tmp_path, "faults", *series))


def test_rejections_are_no_faults_and_one_fault_at_night_does_not_decide(tmp_path):
    series = (
        calls(CANARY, "OK", "0x20"),
        calls(CANARY, "RESOURCE_EXHAUSTED", "0+5x20"),
        calls(CANARY, "UNKNOWN", "0x12 2x8"),
    )
    assert good("faults", result(tmp_path, "faults", *series))


@pytest.mark.parametrize(("values", "wanted"), [("1x20", True), ("1x15 0x5", False)])
def test_a_canary_that_answers_no_scrape_goes_back(tmp_path, values, wanted):
    assert good("measured", result(tmp_path, "measured", {"series": f"up{{{CANARY}}}", "values": values})) is wanted


def test_a_canary_that_nobody_scrapes_or_calls_goes_back(tmp_path):
    assert not good("measured", result(tmp_path, "measured", {"series": f"up{{{STABLE}}}", "values": "1x20"}))
    assert not good("calls", result(tmp_path, "calls", calls(STABLE, "OK", "0+300x20")))
    assert good("calls", result(tmp_path, "calls", calls(CANARY, "OK", "0+3x20")))


def test_the_judge_counts_the_codes_of_the_objective_and_pages_burn_rate():
    rules = (MONITORING / "rules/availability.yml").read_text()
    [codes] = set(re.findall(r'grpc_code=~"([^"]+)"', rules))
    query = METRICS["faults"]["provider"]["prometheus"]["query"]
    assert set(re.findall(r'grpc_code=~"([^"]+)"', query)) == {codes}
    limit = float(METRICS["faults"]["successCondition"].split()[-1])
    assert limit == pytest.approx(14.4 * 0.0005)
    assert "14.4 * 0.0005" in (MONITORING / "rules/slo.yml").read_text()
