"""
The developers' commands: `python -m tools COMMAND`.
"""

import sys

from stack.__main__ import main
from tools.command_table import COMMANDS

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], program="tools", commands=COMMANDS))
