"""
The translator's command line, as used by scripts and other programs.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from runtime.broken_pipe import READER_GONE
from translator.__main__ import main

ISTIO = Path(__file__).resolve().parents[3] / "istio"
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: shop}
spec: {host: orders}
"""


def test_a_command_keeps_the_callers_signal_handlers(tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text(RULE)
    before = signal.getsignal(signal.SIGPIPE)

    assert main(["check", f"--istio={tmp_path}"]) == 0

    assert signal.getsignal(signal.SIGPIPE) is before


def test_a_closed_pipe_ends_the_translator_silently(tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text(RULE)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        command = [sys.executable, "-m", "translator", "check", f"--istio={tmp_path}"]
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (READER_GONE, b"")
