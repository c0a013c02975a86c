"""The rules and alerts of monitoring/, and their tests."""

from pathlib import Path

import yaml

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
RULES = sorted(MONITORING.glob("rules/*.yml"))
TESTS = sorted(MONITORING.glob("tests/*.yml"))


def rules():
    """Return every rule of the files."""
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
