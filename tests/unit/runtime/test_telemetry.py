"""What the log of a process has."""

import subprocess
import sys

LOGGING = """
import structlog
from runtime import telemetry

log = structlog.get_logger()
telemetry.quiet()
log.info("details")
log.warning("look")
"""


def test_a_command_logs_warnings_only_and_not_to_its_result():
    done = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert "look" in done.stderr
    assert "details" not in done.stderr
