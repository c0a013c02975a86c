"""
Lints the contract with buf and checks it for breaking changes against the released one, with one descriptor set.

Run as `python -m tools.contract`.
"""

import subprocess
import sys

from stack.settings import CHECKOUT

TIMEOUT_S = 120


def main() -> int:
    """Run both checks; return 0 if buf reports nothing."""
    buf = [sys.executable.removesuffix("python") + "buf"]
    described = str(CHECKOUT / "build" / "descriptors.binpb")
    # The set also contains imported files, which are not linted.
    rules = ["--config", str(CHECKOUT / "protos" / "buf.yaml"), "--path", "shop"]
    released = ["--against", str(CHECKOUT / "protos" / "released.binpb")]
    commands = ([*buf, "lint", described, *rules], [*buf, "breaking", described, *released, *rules])
    codes = [subprocess.run(command, timeout=TIMEOUT_S, check=False).returncode for command in commands]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
