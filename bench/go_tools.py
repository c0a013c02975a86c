"""ghz and vegeta, load generators in Go, built on first use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from stack.settings import Settings

TOOLS = {"ghz": "github.com/bojand/ghz/cmd/ghz@v0.93.0", "vegeta": "github.com/tsenart/vegeta/v12@v12.13.0"}
BUILD_S = 900


class NotThere(Exception):
    """A load generator is unavailable; the message says why, in a few words."""


def find(settings: Settings, name: str) -> Path:
    """
    Return the path of *name*, built if necessary; raise `NotThere`.
    """
    folder = settings.tools / "bench-go"
    if not (folder / name).exists():
        _build(folder, name)
    return folder / name


def _build(folder: Path, name: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise NotThere("no Go")
    print(f"{name}: building it", file=sys.stderr, flush=True)
    environment = {**os.environ, "GOBIN": str(folder)}
    try:
        subprocess.run([go, "install", TOOLS[name]], env=environment, check=True, timeout=BUILD_S, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotThere(f"{name} could not be built") from error
