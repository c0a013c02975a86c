"""The naive stack's own Python environment, created on first use."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from stack.settings import Settings

LOCK = Path(__file__).with_name("requirements.lock")
INSTALL_S = 300


def ensure(settings: Settings) -> Path:
    """
    Return a Python with the locked packages, and none of ours.
    """
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    folder = settings.tool(f"bench-peer-{wanted[:12]}")
    python, stamp = folder / "bin" / "python", folder / "filled"
    if not stamp.exists():
        print("peer: installing what it needs", file=sys.stderr, flush=True)
        _run(sys.executable, "-m", "venv", "--without-pip", "--clear", str(folder))
        uv = str(settings.venv / "bin" / "uv")
        _run(uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(LOCK))
        stamp.touch()
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_S)
