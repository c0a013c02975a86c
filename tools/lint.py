"""
`make lint`: all static checks.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from stack.install import artifacts
from stack.progress import Progress
from stack.settings import Settings

TIMEOUT_S = 600
NOT_CHECKED = "not checked"
SOURCES = (
    "runtime",
    "orders_svc",
    "inventory_svc",
    "gateway",
    "envoy/translator",
    "bench",
    "chaos",
    "shop_client",
    "stack",
    "stores",
    "tools",
    "images",
    "k8s",
    "protos",
    "tests/support/fakes",
)


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Run every check."""
    artifacts.contract(chosen, say=Progress().say)
    return lint(chosen)


def lint(settings: Settings) -> int:
    """Run all checks, even if one fails; return 0 if every one passed."""
    # Most of them use one core; those of the pages run in Node.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        passed = threads.map(lambda check: _passes(settings, *check), checks(settings).items())
        failed = [name for name, good in zip(checks(settings), passed, strict=True) if not good]
    if failed:
        print(f"\nlint: failed: {', '.join(failed)}")
    return 1 if failed else 0


def checks(settings: Settings) -> dict[str, Sequence[str]]:
    """Return the checks by name, the longest first, so that the others run beside them."""
    tool = settings.venv / "bin"
    sources = [source for source in SOURCES if (settings.checkout / source).is_dir()]
    return {
        "types": (f"{tool}/python", "-m", "mypy", *sources),
        "pages": (f"{tool}/python", "-m", "gateway.pages.build", "--check"),
        "dead code": (f"{tool}/python", "-m", "tools.dead_code", *sources),
        # Most tests cannot run here, but whether they can be imported shows in seconds.
        "tests": (f"{tool}/python", "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider", "tests"),
        "imports": (f"{tool}/python", "-c", "from importlinter.cli import lint_imports_command as run; run()"),
        "manifests": (f"{tool}/python", "-m", "tools.manifests"),
        "migrations": (f"{tool}/python", "-m", "tools.migrations"),
        "contract": (f"{tool}/python", "-m", "tools.contract"),
        "format": (f"{tool}/ruff", "format", "--check", "--quiet", "."),
        "ruff": (f"{tool}/ruff", "check", "--quiet", "."),
    }


def _passes(settings: Settings, name: str, command: Sequence[str]) -> bool:
    """Run one check; print its output only if it fails, or says what it did not check."""
    begin = time.monotonic()
    finished = subprocess.run(
        command, cwd=settings.checkout, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    passed = finished.returncode == 0
    lines = [f"lint: {name}: {'passed' if passed else 'FAILED'} ({time.monotonic() - begin:.1f} s)"]
    lines += finished.stdout.splitlines() if passed and NOT_CHECKED in finished.stdout else []
    if not passed:
        lines.append((finished.stdout + finished.stderr).strip())
    # Printed at once, since checks run in parallel.
    print("\n".join(lines), flush=True)
    return passed
