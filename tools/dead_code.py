"""
Names that nothing uses, tests included: functions, methods, classes and imports.

Attributes and variables are left out, because messages and settings are read by their fields.

Run as `python -m tools.dead_code FOLDER…`.
"""

import sys
from pathlib import Path

from vulture import Vulture
from vulture.core import Item

from stack import command_table as stack_table
from stack.settings import CHECKOUT
from tools import command_table as tools_table

KINDS = {"class", "function", "import", "method", "property", "unreachable_code"}
# Called by a library by their names: OpenTelemetry's processors, gRPC's interceptors, PyYAML's dumper, Python's import.
# Pytest's hooks have names of their own kind.
CALLED_BY_NAME = {
    "on_start",
    "intercept_service",
    "intercept_unary_unary",
    "ignore_aliases",
    "get_code",
    "get_credentials",
    "get_credentials_async",
}
# Named in the tables of commands.
COMMANDS = {command.function.partition(":")[2] for command in (*stack_table.COMMANDS, *tools_table.COMMANDS)}


def main(folders: list[str]) -> int:
    """Print what is dead; 0 when nothing is."""
    # FastAPI calls what it decorates.
    vulture = Vulture(ignore_decorators=["@app.*", "@model_validator"])
    vulture.scavenge([*folders, "tests"])
    dead = [item for item in vulture.get_unused_code(min_confidence=60) if is_dead(item)]
    for item in dead:
        place = Path(item.filename).resolve().relative_to(CHECKOUT)
        print(f"{place}:{item.first_lineno}: nothing uses the {item.typ} {item.name}")
    return 1 if dead else 0


def is_dead(item: Item) -> bool:
    """Return whether *item* is of a kind that must be used, and not called by its name from outside."""
    path = Path(item.filename)
    if "tests" in path.parts or item.typ not in KINDS:
        return False
    is_servicer = path.name == "api.py" and item.name[:1].isupper()
    is_hook = item.name.startswith("pytest_")
    return not is_servicer and not is_hook and item.name not in CALLED_BY_NAME | COMMANDS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
