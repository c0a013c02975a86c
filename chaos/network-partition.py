#!/usr/bin/env python3
"""Cuts the network between parts of a one-machine stack; see `--help` and chaos/partition."""

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[0] = str(CHECKOUT)

from chaos.partition.filter import NotAllowed, program  # noqa: E402 - the checkout is found first
from stack import settings  # noqa: E402
from stack.errors import StackError  # noqa: E402

try:
    if not {"-h", "--help"} & set(sys.argv):
        program()
    chosen = settings.read(os.environ, checkout=CHECKOUT)
except (NotAllowed, StackError) as error:
    sys.exit(f"network-partition: {error}")
python = chosen.venv / "bin" / "python"
if not python.exists():
    sys.exit(f"network-partition: nothing is installed yet; run `{chosen.command('up')}`")
os.chdir(CHECKOUT)
os.execv(python, [str(python), "-m", "chaos.partition", *sys.argv[1:]])  # noqa: S606 - a list of arguments
