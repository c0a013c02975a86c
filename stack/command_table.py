"""
The commands of the stack: one table, from which the command line, its help and the installation steps are derived.

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
    """What must be installed before a command runs."""

    NOTHING = "an existing environment"
    ENVIRONMENT = "the environment"
    STORES = "the environment and the programs of the stores"
    ALERTMANAGER = "those and Alertmanager"
    BROWSER = "those, a browser and a packet filter"
    LAB = "the environment and, for root, a packet filter"


@dataclass(frozen=True)
class Argument:
    """One argument of a command; the Makefile passes it the value of *variable*, which may be empty."""

    name: str  # as argparse wants it: service, --match
    variable: str  # SVC
    help: str
    required: str = ""  # an example value, if the argument is required


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: how it is called, what it needs, and the function that does it."""

    name: str
    help: str
    function: str  # MODULE:NAME, imported only when the command runs
    needs: Needs = Needs.NOTHING
    arguments: tuple[Argument, ...] = ()
    passes_on: bool = False  # the remaining words belong to another program, including --help

    def load(self) -> Function:
        """Import the function that runs the command."""
        module, _, name = self.function.partition(":")
        function: Function = getattr(importlib.import_module(module), name)
        return function


SVC = Argument("service", "SVC", "a service or a replica: inventory, inventory-0, kafka, …")
ONE = Argument("service", "SVC", SVC.help, required="SVC=inventory, SVC=inventory-0, SVC=kafka, …")
FILE = Argument("file", "FILE", "a file with Istio resources", required="FILE=chaos/faults/…")
CONTROL = "stack.commands.control"
PROGRAMS = "stack.commands.programs"
MESH = "stack.commands.mesh"
CUSTOMERS = "stack.commands.customer_data"

COMMANDS = (
    Command(
        name="up",
        help="install what is missing, start everything, wait until an order has been placed",
        function="stack.commands.up:run",
        needs=Needs.STORES,
    ),
    Command(name="down", help="stop everything; the state is kept", function=f"{CONTROL}:down"),
    Command(
        name="status",
        help="every process: pid, address, health, restarts, uptime, memory",
        function="stack.commands.status:run",
    ),
    Command(
        name="slo",
        help="availability, error budget left, outages and time to recover over an hour, a day, a week and 30 days",
        function="stack.commands.slo:run",
    ),
    Command(
        name="logs",
        help="the logs of SVC, or all logs: their last lines, then new ones as they come; FOLLOW=no: whole logs",
        function="stack.commands.logs:run",
        arguments=(
            SVC,
            Argument("--since", "SINCE", "10m, 2h, 11:20, …"),
            Argument("--match", "MATCH", "a regular expression"),
            Argument("--level", "LEVEL", "the lowest level to show: debug, info, warning, error"),
            Argument("--follow", "FOLLOW", "no: print the existing logs in full and exit"),
            Argument("--order", "ORDER", "an order's id or name: only its lines and those of its traces"),
            Argument("--trace", "TRACE", "a trace id"),
        ),
    ),
    Command(name="stop", help="stop SVC gracefully, until make start", function=f"{CONTROL}:stop", arguments=(ONE,)),
    Command(name="start", help="start SVC again", function=f"{CONTROL}:start", arguments=(ONE,)),
    Command(name="restart", help="stop SVC and start it", function=f"{CONTROL}:restart", arguments=(ONE,)),
    Command(
        name="kill",
        help="send SIGKILL to every replica of SVC, which stays down until make start",
        function=f"{CONTROL}:kill",
        arguments=(ONE,),
    ),
    Command(
        name="run",
        help="run one replica of a running stack in the foreground, in place of the supervised one",
        function="stack.commands.foreground:run",
        arguments=(Argument("service", "SVC", "one process", required="SVC=orders-0"),),
    ),
    Command(
        name="sidecar",
        help="a service of your own in the mesh, with an identity and a sidecar, for as long as this runs",
        function="stack.commands.sidecar:run",
        arguments=(Argument("service", "SVC", "the service's name", required="SVC=subscriptions"),),
    ),
    Command(
        name="example",
        help="a service of its own joins the mesh and places an order: docs/internal-services.md, step by step",
        function="stack.commands.example:run",
    ),
    Command(
        name="demo",
        help="place an order with curl; show the response, its row and its event",
        function="stack.commands.demo:run",
    ),
    Command(
        name="order",
        help="the timeline of one order: each change with its time, replica and trace",
        function="stack.commands.order:run",
        arguments=(Argument("order", "ID", "an order's id or name", required="ID=0b0f6d2e-…"),),
    ),
    Command(
        name="clean",
        help="remove what a stopped stack created in its folder, and list it",
        function="stack.commands.clean:run",
    ),
    Command(
        name="backup",
        help="back PostgreSQL up now: what changed since the last backup, everything once a week",
        function="stack.commands.backups:take",
    ),
    Command(
        name="backups",
        help="list the backups with their times, sizes and WAL, and the moments that can be restored",
        function="stack.commands.backups:show",
    ),
    Command(
        name="restore",
        help="bring a stopped stack back to the orders as of TO, and start it",
        function="stack.commands.restore:run",
        needs=Needs.STORES,
        arguments=(Argument("to", "TO", "latest, or a time", required="TO=latest, or TO=2026-11-26T05:00:00Z"),),
    ),
    Command(
        name="drill",
        help="lose PostgreSQL, Kafka and Redis for good on a stack of its own, bring each back, print RPO and RTO",
        function=f"{PROGRAMS}:drill",
        needs=Needs.STORES,
        arguments=(
            Argument("--only", "ONLY", "which losses: postgres, kafka, redis, with commas (all)"),
            Argument("--record", "RECORD", "yes: docs/drill.json and the table of docs/sre.md have the figures"),
        ),
    ),
    Command(
        name="token",
        help="print a token for CUSTOMER, signed by the development issuer",
        function=f"{PROGRAMS}:token",
        arguments=(
            Argument("customer", "CUSTOMER", "the customer", required="CUSTOMER=ana"),
            Argument("--operator", "OPERATOR", "yes: a token for an operator"),
        ),
    ),
    Command(
        name="reconcile",
        help="compare orders, holds, events and stock; repair what can be repaired, fail if a discrepancy remains",
        function=f"{PROGRAMS}:operate",
    ),
    Command(
        name="rotate",
        help="turn a secret or certificate over while calls go on, and look whether every part uses the new one",
        function="stack.commands.rotate:run",
        arguments=(
            Argument(
                "what",
                "WHAT",
                "postgres, redis, page-token, signing-key, workload-certificates or edge-certificate",
                required="WHAT=postgres|redis|page-token|signing-key|workload-certificates|edge-certificate",
            ),
        ),
    ),
    Command(name="redrive", help="redeliver dead letters", function=f"{PROGRAMS}:operate"),
    Command(
        name="export-customer",
        help="everything that is stored about CUSTOMER: a line of JSON for each order and request id",
        function=f"{CUSTOMERS}:export",
        arguments=(Argument("customer", "CUSTOMER", "the customer's subject", required="CUSTOMER=ana"),),
    ),
    Command(
        name="erase-customer",
        help="erase who CUSTOMER was from all final orders, for good; without SURE=yes only count",
        function=f"{CUSTOMERS}:erase",
        arguments=(
            Argument("customer", "CUSTOMER", "the customer's subject", required="CUSTOMER=ana"),
            Argument("--reference", "REFERENCE", "what the erasure is called elsewhere; it is logged, the name is not"),
            Argument("--sure", "SURE", "yes: erase; it cannot be undone"),
        ),
    ),
    Command(
        name="messages",
        help="the last messages of a Kafka topic, decoded by the contract, one line of JSON each",
        function=f"{PROGRAMS}:messages",
        arguments=(
            Argument(
                "topic", "TOPIC", "pending_orders, order_events, stock_events, …", required="TOPIC=pending_orders"
            ),
            Argument("--order", "ORDER", "an order's id or name: only its messages"),
            Argument("--last", "LAST", "how many of each partition; 20 unless given"),
            Argument("--follow", "FOLLOW", "yes: go on with new ones until Ctrl-C"),
        ),
    ),
    Command(
        name="soak",
        help="place orders while processes are killed, then verify every guarantee",
        function=f"{PROGRAMS}:soak",
        passes_on=True,
    ),
    Command(
        name="hostile",
        help="attack the stack while a regular client places orders, then report which attacks affected it",
        function=f"{PROGRAMS}:hostile",
        passes_on=True,
    ),
    Command(
        name="chaos",
        help="run an experiment of chaos/experiments: inject faults under load, and verify that nothing was lost",
        function=f"{PROGRAMS}:chaos",
        needs=Needs.LAB,
        arguments=(
            Argument("experiment", "EXPERIMENT", "the experiment's name", required="EXPERIMENT=inventory-gone"),
        ),
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
        help="inject random faults for some minutes",
        function=f"{PROGRAMS}:chaos_random",
        needs=Needs.LAB,
        arguments=(
            Argument("--seed", "SEED", "the seed; the same seed draws the same faults"),
            Argument("--minutes", "MINUTES", "minutes to run (5)"),
        ),
        passes_on=True,
    ),
    Command(
        name="failover",
        help="lose PostgreSQL's leader under load, and print the seconds without writes, who leads now, what was lost",
        function=f"{PROGRAMS}:failover",
        arguments=(
            Argument(
                "--how",
                "HOW",
                "lost: killed together with its Patroni (default); crash: and started again at once; fenced: and its "
                "lease ended; switchover: handed over",
            ),
            Argument("--part", "SVC", "what is lost instead of the leader: postgres-replica, kafka-1, …"),
        ),
    ),
    Command(
        name="protos",
        help="generate the descriptor set and the stubs, and install them",
        function="stack.commands.protos:run",
        needs=Needs.ENVIRONMENT,
    ),
    Command(
        name="mesh-apply",
        help="apply FILE's Istio resources immediately, as kubectl apply does",
        function=f"{MESH}:run",
        arguments=(FILE,),
    ),
    Command(
        name="mesh-delete",
        help="remove what was applied from FILE",
        function=f"{MESH}:run",
        arguments=(FILE,),
    ),
    Command(
        name="mesh-diff",
        help="show what FILE (or what is applied now) changes in every Envoy",
        function=f"{MESH}:run",
        arguments=(Argument("file", "FILE", FILE.help),),
    ),
    Command(
        name="mesh-dump",
        help="show the configuration of the sidecars of SVC",
        function=f"{MESH}:run",
        arguments=(Argument("workload", "SVC", SVC.help, required="SVC=orders"),),
    ),
    Command(
        name="proxy-status",
        help="whether every Envoy has what it was given, as istioctl shows it; with SVC what differs in its sidecars",
        function=f"{MESH}:run",
        arguments=(Argument("workload", "SVC", SVC.help),),
    ),
    Command(
        name="proxy-config",
        help="what the sidecars of SVC have, as istioctl shows it: clusters, listeners, routes, endpoints or secrets",
        function=f"{MESH}:run",
        arguments=(
            Argument("kind", "WHAT", "clusters, listeners, routes, endpoints or secrets", required="WHAT=clusters"),
            Argument("workload", "SVC", SVC.help, required="SVC=orders-0"),
        ),
        passes_on=True,
    ),
    Command(
        name="breakers",
        help="outlier detection in every sidecar: which hosts are ejected and since when, errors, pending, retries",
        function=f"{MESH}:run",
    ),
)


def parser(program: str, commands: Sequence[Command]) -> argparse.ArgumentParser:
    """Return the command line parser of *commands*, for `parse`."""
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
    Return the command named by *words* with its options; words for another program are in `further`.

    Raises `StackError` when a required argument is missing; exits as argparse does on other errors.
    """
    made = parser(program, commands)
    options, further = made.parse_known_args(words)
    command = by_name(commands)[options.command]
    if further and not command.passes_on:
        made.error(f"unrecognized arguments: {' '.join(further)}")
    options.further = further
    for argument in command.arguments:
        if argument.required and not getattr(options, argument.name):
            raise StackError(f"missing argument: make {command.name} {argument.required}")
    return command, options


def by_name(commands: Sequence[Command]) -> Mapping[str, Command]:
    """Return the commands by name."""
    return {command.name: command for command in commands}


def yes(variable: str, text: str, *, default: bool = False) -> bool:
    """
    Return whether *text* means yes; empty text means *default*.

    Raises `StackError` that names *variable* for anything else than yes or no.
    """
    if re.fullmatch(r"(?i)yes|y|true|on|1", text):
        return True
    if re.fullmatch(r"(?i)no|n|false|off|0", text):
        return False
    if text:
        raise StackError(f"{variable}={text!r} must be yes or no")
    return default
