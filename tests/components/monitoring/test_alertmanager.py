"""What a person gets of alerts: the real Alertmanager with the configuration of monitoring/, and a webhook."""

import collections
import http.server
import json
import shutil
import subprocess
import threading

import httpx
import pytest
import yaml

from stack.topology import alertmanager
from tests.support.alerts import MONITORING
from tests.support.processes import Process, free_port
from tests.support.waiting import passes, wait_until

# What fires on a stack whose PostgreSQL is gone for some minutes, with Redis and Kafka well.
POSTGRES_GONE = {
    "PostgresWithoutPrimary": "page",
    "SecondCopyMissing": "page",
    "ErrorBudgetBurnsFast": "page",
    "OrdersWaitTooLong": "page",
    "EventsLate": "page",
    "ServiceDown": "page",
    "ErrorBudgetBurnsSlowly": "ticket",
    "BackgroundWorkFails": "ticket",
    "BreakerOpen": "ticket",
}


class Webhook(http.server.ThreadingHTTPServer):
    """Keeps what it is sent: receiver, status and alerts."""

    def __init__(self):
        self.notified = collections.Counter()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        notification = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for alert in notification["alerts"]:
            self.server.notified[notification["receiver"], alert["status"], alert["labels"]["alertname"]] += 1
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def webhook():
    server = Webhook()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def api(webhook, tmp_path):
    document = yaml.safe_load(alertmanager.configuration((MONITORING / "alertmanager.yml").read_text(), webhook.url))
    for route in [document["route"], *document["route"]["routes"]]:
        route.update(group_wait="1s", group_interval="1s")
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(document))
    listen = f"127.0.0.1:{free_port('127.0.0.1')}"
    command = [
        *(shutil.which("prometheus-alertmanager"), f"--config.file={tmp_path}/alertmanager.yml"),
        *(f"--storage.path={tmp_path}/data", f"--web.listen-address={listen}", "--cluster.listen-address="),
    ]
    process = Process(command, tmp_path / "alertmanager.log").start()

    def ready():
        try:
            return httpx.get(f"http://{listen}/-/ready").is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(ready, within_s=60)
        yield f"http://{listen}/api/v2/alerts"
    finally:
        process.kill()


def send(api, severities, *, ends_at=None):
    times = {"endsAt": ends_at} if ends_at else {}
    alerts = [{"labels": {"alertname": name, "severity": each}, **times} for name, each in severities.items()]
    httpx.post(api, json=alerts).raise_for_status()


def test_the_configuration_is_one():
    done = subprocess.run(
        [shutil.which("amtool"), "check-config", str(MONITORING / "alertmanager.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


async def test_a_dead_store_is_one_page_and_its_end_is_notified(api, webhook):
    send(api, POSTGRES_GONE)
    await passes(lambda: notified(webhook, {("page", "firing", "PostgresWithoutPrimary"): 1}))
    # One that is no consequence comes through; by then the others would have come as well.
    send(api, {"DiskAlmostFull": "page", "RedisAlmostFull": "ticket", "Watchdog": "none"})
    others = {
        ("page", "firing", "DiskAlmostFull"),
        ("ticket", "firing", "RedisAlmostFull"),
        ("watchdog", "firing", "Watchdog"),
    }
    await passes(lambda: notified(webhook, others | {("page", "firing", "PostgresWithoutPrimary")}))
    send(api, POSTGRES_GONE, ends_at="2020-01-01T00:00:00Z")
    await passes(lambda: notified(webhook, {("page", "resolved", "PostgresWithoutPrimary")}, among=True))
    assert {name for _, _, name in webhook.notified} == {"PostgresWithoutPrimary", *(name for *_, name in others)}
    assert webhook.notified["page", "firing", "PostgresWithoutPrimary"] == 1


async def test_a_consequence_without_its_cause_pages(api, webhook):
    send(api, {"OrdersWaitTooLong": "page"})
    await passes(lambda: notified(webhook, {("page", "firing", "OrdersWaitTooLong"): 1}))


async def notified(webhook, expected, *, among=False):
    found = set(webhook.notified)
    assert set(expected) <= found if among else set(expected) == found
