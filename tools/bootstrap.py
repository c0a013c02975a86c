"""
The entry point of the developers' commands, with nothing installed but Python: `python3 -m tools.bootstrap COMMAND…`.
"""

import sys

from stack.bootstrap import main
from tools.command_table import COMMANDS

if __name__ == "__main__":
    main(sys.argv[1:], program="tools", commands=COMMANDS)
