"""
What the person on call gets, from a fault on a running stack to the end of it: each page is counted and resolved.

It takes about six minutes, so `make test` leaves it out: make integration TESTS=tests/paging.
"""

import asyncio
import collections
import http.server
import json
import shutil
import threading
import time

import pytest

from stack.topology import alertmanager
from tests.support.waiting import eventually

# An alert waits for up to two minutes, its page for half a minute more, and its end for Alertmanager's five minutes.
PAGED_S, RESOLVED_S = 240, 420
# As long as a second page could take to follow the first one.
QUIET_S = 60


class Webhook(http.server.ThreadingHTTPServer):
    """Keeps when each alert was told, by receiver, status and name."""

    def __init__(self):
        self.notified_at = collections.defaultdict(list)
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def names(self, receiver, status):
        return {name for to, how, name in list(self.notified_at) if (to, how) == (receiver, status)}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        notification = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for alert in notification["alerts"]:
            self.server.notified_at[notification["receiver"], alert["status"], alert["labels"]["alertname"]].append(
                time.monotonic()
            )
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
async def webhook(stack):
    """A webhook to which the stack's Alertmanager posts."""
    # What it has told somebody before, it does not tell again.
    shutil.rmtree(stack.settings.data / alertmanager.NAME, ignore_errors=True)
    server = Webhook()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    await asyncio.to_thread(stack.make, "up", ALERT_WEBHOOK=server.url, PROBE="1")
    yield server
    await asyncio.to_thread(stack.make, "up", ALERT_WEBHOOK="off", PROBE="0")
    server.shutdown()


async def paged(webhook, cause):
    """Wait for the page about *cause*, and return every alert that paged until no further one would follow."""

    async def notified():
        return cause in webhook.names("page", "firing")

    await eventually(notified, within_s=PAGED_S)
    await asyncio.sleep(QUIET_S)
    return webhook.names("page", "firing")


async def resolved(webhook, names):
    async def notified():
        return names <= webhook.names("page", "resolved")

    await eventually(notified, within_s=RESOLVED_S)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("killed", "cause"), [("edge", "ServiceDown"), ("postgres", "PostgresWithoutPrimary")], ids=["edge", "postgres"]
)
async def test_a_dead_part_is_one_page_and_its_end_is_notified(stack, load, webhook, killed, cause):
    async def watched():
        return ("watchdog", "firing", "Watchdog") in webhook.notified_at

    await eventually(watched, within_s=PAGED_S)
    # Without an edge nobody has an answer, and the prober's failures have to do.
    async with load.of(0 if killed == "edge" else 1):
        await asyncio.to_thread(stack.make, "kill", SVC=killed)
        try:
            assert await paged(webhook, cause) == {cause}
        finally:
            await asyncio.to_thread(stack.make, "start", SVC=killed)
        await resolved(webhook, {cause})
    # Told once when it began, and once when it ended.
    assert [len(webhook.notified_at["page", how, cause]) for how in ("firing", "resolved")] == [1, 1]
    assert webhook.names("page", "firing") == {cause}
