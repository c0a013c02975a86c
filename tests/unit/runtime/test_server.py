"""How a service's process ends."""

import signal
import subprocess
import sys

CRASH = """
import ctypes
from runtime.server import run

async def main():
    ctypes.string_at(0)

run(main)
"""


def test_a_crash_outside_of_python_has_a_traceback():
    ended = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, timeout=30)
    assert ended.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in ended.stderr
    assert "in main" in ended.stderr
