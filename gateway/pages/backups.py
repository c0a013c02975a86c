"""
How old the last backup is, from what `make backup` and PostgreSQL leave in the folder of the backups.

Of a stack of which no backup was ever taken there are no such metrics.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

OUTCOME = "outcome.json"
NOT_ARCHIVED = "wal-not-archived"
SUCCEEDED = (
    "backup_last_success_timestamp_seconds",
    "When the last backup of PostgreSQL succeeded, s since 1970; 0 if none did.",
)
FAILED = (
    "backup_last_failure_timestamp_seconds",
    "When a backup of PostgreSQL last failed, s since 1970; 0 if none did.",
)
WAL_FAILING = ("backup_wal_failing", "1 while the last WAL that was to be archived is not, else 0.")


class Backups(Collector):
    """Reads *folder* at each scrape; says nothing while there is no outcome of a backup, or it cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """
        Yield the metrics.
        """
        try:
            noted = json.loads((self._folder / OUTCOME).read_text(encoding="utf-8"))
            succeeded, failed = float(noted.get("succeeded", 0)), float(noted.get("failed", 0))
            failing = float((self._folder / NOT_ARCHIVED).exists())
        except (OSError, ValueError, TypeError, AttributeError):
            return
        for described, value in ((SUCCEEDED, succeeded), (FAILED, failed), (WAL_FAILING, failing)):
            yield GaugeMetricFamily(*described, value=value)
