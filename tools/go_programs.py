"""Programs in Go, built on first use, and files of Go modules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

BUILD_S = 900


class NotThere(Exception):
    """A program or a module is unavailable; the message says why, in a few words."""


def program(folder: Path, name: str, package: str) -> Path:
    """
    Return the path of *name* in *folder*, built from *package* (path@version) if necessary; raise `NotThere`.
    """
    if not (folder / name).exists():
        print(f"{name}: building it", file=sys.stderr, flush=True)
        _go("install", package, what=name, GOBIN=str(folder))
    return folder / name


def module(path: str) -> Path:
    """
    Return the folder of a module (path@version), downloaded if necessary; raise `NotThere`.
    """
    downloaded = json.loads(_go("mod", "download", "-json", path, what=path))
    return Path(downloaded["Dir"])


def _go(*words: str, what: str, **environment: str) -> str:
    go = shutil.which("go")
    if go is None:
        raise NotThere("no Go")
    try:
        done = subprocess.run(
            [go, *words], env={**os.environ, **environment}, check=True, timeout=BUILD_S, capture_output=True, text=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NotThere(f"{what} could not be built or downloaded") from error
    return done.stdout
