"""How the alerts caused by a trial are recorded."""

import yaml

from chaos.alerts import measured
from chaos.alerts.__main__ import KEPT, TRIALS, trials
from chaos.alerts.measured import Measured
from chaos.alerts.watch import FIRING, PENDING, Wanted, Watch
from chaos.lab.actions import ACTIONS
from stack.settings import CHECKOUT
from tests.support.alerts import ALERTS

REDIS = Wanted("InventoryWithoutStock")
EDGE = Wanted("ServiceDown", (("service", "edge"),))


def reported(*alerts):
    return [{"labels": {"alertname": name, **labels}, "state": state} for name, state, labels in alerts]


def test_the_times_of_firing_and_resolving_are_recorded():
    watch = Watch("http://127.0.0.1:1")
    for at, alerts in (
        (1, []),
        (2, reported(("InventoryWithoutStock", PENDING, {}))),
        (3, reported(("InventoryWithoutStock", PENDING, {}))),
        (9, reported(("InventoryWithoutStock", FIRING, {}), ("ServiceDown", FIRING, {"service": "orders"}))),
        (12, reported(("ServiceDown", FIRING, {"service": "edge"}))),
    ):
        watch.take(alerts, (REDIS, EDGE), at)
    assert watch.first == {(REDIS, PENDING): 2, (REDIS, FIRING): 9, (EDGE, FIRING): 12}
    assert (watch.over(REDIS), watch.over(EDGE)) == (12, None)
    assert (watch.state(REDIS), watch.state(EDGE)) == ("", FIRING)


def test_a_new_measurement_replaces_the_old_one(tmp_path):
    path = tmp_path / "measured.json"
    first = Measured("KafkaAway", "stop kafka", 12.0, 132.0, 8.0, 400)
    other = Measured("ServiceDown edge", "kill edge", 5.0, 65.0, None, 400)
    measured.keep(path, [first, other])
    again = Measured("KafkaAway", "stop kafka", 10.0, 130.0, 6.0, 400)
    measured.keep(path, [again])
    assert measured.load(path) == [again, other]
    assert measured.table([again, other]).splitlines() == [
        "| alert | caused by | pending after | fires after | ends after |",
        "|---|---|---|---|---|",
        "| KafkaAway | stop kafka | 10 s | 130 s | 6 s |",
        "| ServiceDown edge | kill edge | 5 s | 65 s | > 400 s |",
    ]


def test_every_trial_names_existing_alerts_and_possible_faults():
    found = trials("", yaml.safe_load(TRIALS.read_text()))
    causes = [cause for each in found.values() for cause in each]
    assert {wanted.name for cause in causes for wanted in cause.alerts} <= set(ALERTS)
    assert {cause.step.action for cause in causes} <= set(ACTIONS)
    assert list(trials("kafka,edge", yaml.safe_load(TRIALS.read_text()))) == ["kafka", "edge"]


def test_the_runbooks_have_the_measured_table():
    page = (CHECKOUT / "docs" / "runbooks.md").read_text()
    found = measured.load(KEPT)
    assert measured.table(found) in page
    assert all(each.firing_s is not None for each in found)
    section = page.partition("### When they fire")[2].partition("\n## ")[0]
    assert [alert for alert in ALERTS if alert not in section] == []
