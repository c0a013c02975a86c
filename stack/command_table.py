"""
The commands of the stack: one table, from which come the command line, its help and what is installed first.

Standard library only: the bootstrap reads it before anything is installed.
"""

import argparse
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stack.errors import StackError
from stack.settings import Settings

Function = Callable[[Settings, argparse.Namespace], int]


class Needs(Enum):
    """What a command installs before it runs, where it is missing."""

    NOTHING = "an environment that is there already"
    ENVIRONMENT = "the environment"
    STORES = "the environment and the stores' programs"
    BROWSER = "those, a browser and a packet filter"
    LAB = "the environment and, for root, a packet filter"


@dataclass(frozen=True)
class Argument:
    """One argument of a command; the Makefile gives it the variable *variable*, which may be empty."""

    name: str  # as argparse wants it: service, --match
    variable: str  # SVC
    help: str
    required: str = ""  # an example, where it may not be left out


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: how it is called, what it needs, and the function that does it."""

    name: str
    help: str
    function: str  # MODULE:NAME, imported only when the command runs
    needs: Needs = Needs.NOTHING
    arguments: tuple[Argument, ...] = ()
    passes_on: bool = False  # what follows belongs to another program, --help as well

    def load(self) -> Function:
        """Import the function."""
        module, _, name = self.function.partition(":")
        function: Function = getattr(importlib.import_module(module), name)
        return function


SVC = Argument("service", "SVC", "a service or a replica: inventory, inventory-0, kafka, …")
ONE = Argument("service", "SVC", SVC.help, required="SVC=inventory, SVC=inventory-0, SVC=kafka, …")
FILE = Argument("file", "FILE", "a file of Istio resources", required="FILE=chaos/faults/…")
CONTROL = "stack.commands.control"
PROGRAMS = "stack.commands.programs"
MESH = "stack.commands.mesh"

COMMANDS = (
    Command(
        name="up",
        help="install what is missing, start everything, wait until an order goes through",
        function="stack.commands.up:run",
        needs=Needs.STORES,
    ),
    Command(name="down", help="end everything; the state stays", function=f"{CONTROL}:down"),
    Command(
        name="status",
        help="every process: pid, address, health, restarts, uptime, memory",
        function="stack.commands.status:run",
    ),
    Command(
        name="slo",
        help="availability, error budget left, outages and time to recover, of an hour, a day, a week and 30 days",
        function="stack.commands.slo:run",
    ),
    Command(
        name="logs",
        help="the log of SVC, or of everything: its end and what comes; FOLLOW=no the whole log",
        function="stack.commands.logs:run",
        arguments=(
            SVC,
            Argument("--since", "SINCE", "10m, 2h, 11:20, …"),
            Argument("--match", "MATCH", "a regular expression"),
            Argument("--level", "LEVEL", "at least: debug, info, warning, error"),
            Argument("--follow", "FOLLOW", "no: what is there, whole, and no more"),
            Argument("--order", "ORDER", "an order's id or name: the lines about it, and those of its traces"),
            Argument("--trace", "TRACE", "a trace's id"),
        ),
    ),
    Command(
        name="stop", help="end SVC in its own time, until make start", function=f"{CONTROL}:stop", arguments=(ONE,)
    ),
    Command(name="start", help="start SVC again", function=f"{CONTROL}:start", arguments=(ONE,)),
    Command(name="restart", help="stop SVC and start it", function=f"{CONTROL}:restart", arguments=(ONE,)),
    Command(
        name="kill",
        help="SIGKILL every replica of SVC, until make start",
        function=f"{CONTROL}:kill",
        arguments=(ONE,),
    ),
    Command(
        name="run",
        help="run one replica of a running stack in the foreground, in the place of its supervised twin",
        function="stack.commands.foreground:run",
        arguments=(Argument("service", "SVC", "one process", required="SVC=orders-0"),),
    ),
    Command(
        name="demo",
        help="place an order with curl; show the answer, its row and its event",
        function="stack.commands.demo:run",
    ),
    Command(
        name="order",
        help="one order's life: what happened to it, when, by which replica and in which trace",
        function="stack.commands.order:run",
        arguments=(Argument("order", "ID", "an order's id or name", required="ID=0b0f6d2e-…"),),
    ),
    Command(
        name="clean",
        help="remove what a stack that is down made in its folder, and say what",
        function="stack.commands.clean:run",
    ),
    Command(
        name="token",
        help="a token for CUSTOMER, signed by the development issuer",
        function=f"{PROGRAMS}:token",
        arguments=(
            Argument("customer", "CUSTOMER", "whose token", required="CUSTOMER=ana"),
            Argument("--operator", "OPERATOR", "yes: for an operator of the shop"),
        ),
    ),
    Command(
        name="reconcile",
        help="compare orders, holds, events and stock; repair what can be, fail if something is left",
        function=f"{PROGRAMS}:operate",
    ),
    Command(name="redrive", help="send dead letters on their way again", function=f"{PROGRAMS}:operate"),
    Command(
        name="soak",
        help="buy while parts are killed, then check every promise",
        function=f"{PROGRAMS}:soak",
        passes_on=True,
    ),
    Command(
        name="hostile",
        help="attack while a bystander shops, then say which attacks it felt",
        function=f"{PROGRAMS}:hostile",
        passes_on=True,
    ),
    Command(
        name="chaos",
        help="run an experiment of chaos/experiments: break something, and check that nothing was lost",
        function=f"{PROGRAMS}:chaos",
        needs=Needs.LAB,
        arguments=(Argument("experiment", "EXPERIMENT", "its name", required="EXPERIMENT=inventory-gone"),),
        passes_on=True,
    ),
    Command(
        name="chaos-all",
        help="run every experiment, and write an index page",
        function=f"{PROGRAMS}:chaos_all",
        needs=Needs.LAB,
        passes_on=True,
    ),
    Command(
        name="chaos-random",
        help="break what a seed draws, for some minutes",
        function=f"{PROGRAMS}:chaos_random",
        needs=Needs.LAB,
        arguments=(
            Argument("--seed", "SEED", "the same number draws the same"),
            Argument("--minutes", "MINUTES", "how long (5)"),
        ),
        passes_on=True,
    ),
    Command(
        name="protos",
        help="build the descriptor set and the stubs, and install them",
        function="stack.commands.protos:run",
        needs=Needs.ENVIRONMENT,
    ),
    Command(
        name="mesh-apply",
        help="put FILE's Istio resources in force at once, as kubectl apply does",
        function=f"{MESH}:run",
        arguments=(FILE,),
    ),
    Command(
        name="mesh-delete",
        help="take back what was applied from FILE",
        function=f"{MESH}:run",
        arguments=(FILE,),
    ),
    Command(
        name="mesh-diff",
        help="what FILE (or what was applied) changes in every Envoy",
        function=f"{MESH}:run",
        arguments=(Argument("file", "FILE", FILE.help),),
    ),
    Command(
        name="mesh-dump",
        help="what the sidecars of SVC have",
        function=f"{MESH}:run",
        arguments=(Argument("workload", "SVC", SVC.help, required="SVC=orders"),),
    ),
    Command(
        name="breakers",
        help="every sidecar's view of every host: ejected or not, since when, errors, pending, retries",
        function=f"{MESH}:run",
    ),
)


def parser(program: str, commands: Sequence[Command]) -> argparse.ArgumentParser:
    """The command line of *commands*; `parse` reads it."""
    made = argparse.ArgumentParser(prog=program)
    chosen = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands:
        one = chosen.add_parser(
            command.name, help=command.help, description=command.help, add_help=not command.passes_on
        )
        for argument in command.arguments:
            options: dict[str, Any] = {"help": argument.help, "default": "", "metavar": argument.variable}
            if not argument.name.startswith("-"):
                options["nargs"] = "?"
            one.add_argument(argument.name, **options)
    return made


def parse(program: str, commands: Sequence[Command], words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """
    The command that *words* name and its options; what it passes on is in `further`.

    Raises `StackError` where an argument is missing that may not be; ends the program as argparse does.
    """
    made = parser(program, commands)
    options, further = made.parse_known_args(words)
    command = by_name(commands)[options.command]
    if further and not command.passes_on:
        made.error(f"unrecognized arguments: {' '.join(further)}")
    options.further = further
    for argument in command.arguments:
        if argument.required and not getattr(options, argument.name):
            raise StackError(f"say which: make {command.name} {argument.required}")
    return command, options


def by_name(commands: Sequence[Command]) -> Mapping[str, Command]:
    """The commands by their names."""
    return {command.name: command for command in commands}


def yes(variable: str, text: str, *, default: bool = False) -> bool:
    """
    Whether *text* means yes; nothing means *default*.

    Raises `StackError` that names *variable* for what is neither yes nor no.
    """
    if re.fullmatch(r"(?i)yes|y|true|on|1", text):
        return True
    if re.fullmatch(r"(?i)no|n|false|off|0", text):
        return False
    if text:
        raise StackError(f"{variable}={text!r} is neither yes nor no")
    return default
