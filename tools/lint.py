"""
`make lint`: every check of the code that needs no running system.
"""

import argparse
import subprocess
import time
from collections.abc import Sequence

from stack.install import artifacts
from stack.progress import Progress
from stack.settings import Settings

SECONDS = 600
SOURCES = (
    "runtime",
    "orders_svc",
    "inventory_svc",
    "gateway",
    "envoy/translator",
    "chaos",
    "stack",
    "stores",
    "tools",
    "images",
    "k8s",
    "protos",
)


def run(chosen: Settings, _options: argparse.Namespace) -> int:
    """Run every check."""
    artifacts.contract(chosen, say=Progress().say)
    return lint(chosen)


def lint(settings: Settings) -> int:
    """Run all checks, also after one has failed; 0 when every one passed."""
    failed = [name for name, command in checks(settings).items() if not _passes(settings, name, command)]
    if failed:
        print(f"\nlint: failed: {', '.join(failed)}")
    return 1 if failed else 0


def checks(settings: Settings) -> dict[str, Sequence[str]]:
    """The checks by name, the quick ones first."""
    tool = settings.venv / "bin"
    sources = [source for source in SOURCES if (settings.checkout / source).is_dir()]
    return {
        "format": (f"{tool}/ruff", "format", "--check", "--quiet", "."),
        "ruff": (f"{tool}/ruff", "check", "--quiet", "."),
        "imports": (f"{tool}/python", "-c", "from importlinter.cli import lint_imports_command as run; run()"),
        "dead code": (f"{tool}/python", "-m", "tools.dead_code", *sources),
        "contract": (f"{tool}/python", "-m", "tools.contract"),
        "types": (f"{tool}/python", "-m", "mypy", *sources),
        "pages": (f"{tool}/python", "-m", "gateway.pages.build", "--check"),
    }


def _passes(settings: Settings, name: str, command: Sequence[str]) -> bool:
    """Run one check; what it says is shown only when it fails."""
    begin = time.monotonic()
    finished = subprocess.run(
        command, cwd=settings.checkout, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    passed = finished.returncode == 0
    print(f"lint: {name}: {'passed' if passed else 'FAILED'} ({time.monotonic() - begin:.1f} s)", flush=True)
    if not passed:
        print((finished.stdout + finished.stderr).strip(), flush=True)
    return passed
