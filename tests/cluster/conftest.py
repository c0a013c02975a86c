"""The deployed system, and the table of experiments."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from k8s import edge as deployed
from k8s.kubectl import ClusterError
from tests.cluster import pods
from tests.cluster.experiment import settled
from tests.cluster.load import Outcome, Shop, stocked

OUTCOMES: list[Outcome] = []
FACTS: list[str] = []


@pytest.fixture(scope="session")
def shop() -> Shop:
    """Return the edge's address and a customer's token, or end the run."""
    try:
        address = deployed.address()
        token = deployed.token("test")
        httpx.get(f"{address}/v1/products", timeout=15).raise_for_status()
    except (ClusterError, httpx.HTTPError) as error:
        pytest.exit(f"nothing is deployed that answers: {error}", returncode=1)
    return Shop(address, token)


@pytest.fixture
async def products(shop: Shop) -> list[str]:
    return await stocked(shop)


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Collect the outcomes of all experiments for the table at the end."""
    return OUTCOMES


@pytest.fixture
def facts() -> list[str]:
    """Collect lines to show below the table."""
    return FACTS


@pytest.fixture
async def whole() -> AsyncIterator[None]:
    """Check that everything is healthy before, and that nothing restarts except what is killed."""
    await settled()
    before = pods.restarts()
    yield
    ended = [name for (uid, name), count in pods.restarts().items() if count > before.get((uid, name), 0)]
    assert ended == [], "these containers ended by themselves"


HEAD = ("what was done", "recovery s", "longest gap s", "acknowledged", "pending", "failed", "lost")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not OUTCOMES:
        return
    rows = [HEAD, *(_row(each) for each in OUTCOMES), _total()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    terminalreporter.section("what was killed, and what became of the orders")
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        terminalreporter.line("  ".join(cells))
    for fact in FACTS:
        terminalreporter.line(fact)


def _row(outcome: Outcome) -> tuple[str, ...]:
    acknowledged = outcome.acknowledged
    counts = (
        len(acknowledged),
        sum(each.state == "PENDING" for each in acknowledged),
        len(outcome.failed),
        len(outcome.lost),
    )
    return (outcome.what, f"{outcome.recovery_s:.1f}", f"{outcome.longest_gap_s:.1f}", *map(str, counts))


def _total() -> tuple[str, ...]:
    rows = [_row(each)[3:] for each in OUTCOMES]
    worst = max(each.recovery_s for each in OUTCOMES)
    return ("all", f"max {worst:.1f}", "", *(str(sum(int(row[i]) for row in rows)) for i in range(4)))
