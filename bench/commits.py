"""
Compares a commit with this checkout: each in its own stack, under the same load in turn.

python -m bench.commits [--base COMMIT] [--rounds N] [--seconds N] [--batch N] [--json FILE]

This checkout's stack is the environment's, and keeps running; the other's is temporary.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench import quick
from bench.command import command
from stack import settings
from stack.settings import CHECKOUT, Settings

UP_S = 600
PORTS_APART = 100


def main() -> None:
    """
    Start both stacks, measure, stop the other one.
    """
    options = _options()
    mine = settings.read(os.environ, checkout=CHECKOUT)
    with command(), _checked_out(options.base, beside=mine) as other:
        environment = {**os.environ, "STATE": str(other.state), "PORT": str(other.port), "NETWORK": ""}
        try:
            for checkout, chosen in ((other.checkout, environment), (CHECKOUT, dict(os.environ))):
                _run("make", "up", cwd=checkout, environment=chosen)
            stacks = [(options.base, str(other.state), str(other.port)), ("this", str(mine.state), str(mine.port))]
            quick.compare(stacks, options)
        finally:
            _run("make", "down", cwd=other.checkout, environment=environment)


@contextmanager
def _checked_out(base: str, *, beside: Settings) -> Iterator[Settings]:
    """
    Yield the settings of a stack of *base*, whose checkout is removed at the end; its state is kept for the next time.
    """
    with files_of(base, Path(f"{beside.state}-base-checkout")) as folder:
        state, port = f"{beside.state}-base", str(beside.port + PORTS_APART)
        yield settings.read({**os.environ, "STATE": state, "PORT": port, "NETWORK": ""}, checkout=folder)


@contextmanager
def files_of(commit: str, folder: Path) -> Iterator[Path]:
    """
    Yield *folder* with the files of *commit*; it is replaced before and removed at the end.

    It should always be the same one: tools cache their installations by path.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    archive = folder / "base.tar"
    try:
        _run("git", "archive", "--output", str(archive), commit, cwd=CHECKOUT)
        _run("tar", "--extract", "--file", str(archive), cwd=folder)
        archive.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(program: str, *words: str, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
    found = shutil.which(program)
    if found is None:
        raise SystemExit(f"{program} is not installed")
    subprocess.run([found, *words], cwd=cwd, env=environment, check=True, timeout=UP_S)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A commit and this checkout, under the same load in turn.")
    parser.add_argument("--base", default="HEAD", help="the commit; HEAD: the uncommitted changes are measured")
    quick.add_options(parser)
    quick.add_batch(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
