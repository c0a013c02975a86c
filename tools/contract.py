"""
Lints the contract with buf and compares it with the one that was released, on the one descriptor set.

Run as `python -m tools.contract`.
"""

import subprocess
import sys

from stack.settings import CHECKOUT

SECONDS = 120


def main() -> int:
    """0 when buf has no complaint."""
    buf = [sys.executable.removesuffix("python") + "buf"]
    described = str(CHECKOUT / "build" / "descriptors.binpb")
    # The set has what ours imports, too; that is not ours to lint.
    rules = ["--config", str(CHECKOUT / "protos" / "buf.yaml"), "--path", "shop"]
    released = ["--against", str(CHECKOUT / "protos" / "released.binpb")]
    commands = ([*buf, "lint", described, *rules], [*buf, "breaking", described, *released, *rules])
    codes = [subprocess.run(command, timeout=SECONDS, check=False).returncode for command in commands]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
