"""
cosmic-ray, installed in a folder of its own: nothing else needs it, and it has many dependencies.
"""

import subprocess
import sys
from pathlib import Path

from stack.settings import Settings

LOCK = Path(__file__).with_name("requirements.lock")
INSTALL_S = 300


def install(settings: Settings) -> None:
    """
    Install the versions of the lock file unless they are there, and make them importable after everything else.
    """
    folder = settings.tool("cosmic-ray")
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != LOCK.read_text():
        uv = [str(settings.venv / "bin" / "uv"), "pip", "install", "--quiet", "--python", sys.executable]
        command = [*uv, "--target", str(folder), "--require-hashes", "-r", str(LOCK)]
        subprocess.run(command, check=True, timeout=INSTALL_S)
        stamp.write_text(LOCK.read_text())
    sys.path.append(str(folder))
