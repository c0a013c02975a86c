"""
`make sidecar SVC=name`: a service of one's own in the mesh, for as long as the command runs.
"""

import argparse
import sys

from stack.commands.foreground import attend, environment
from stack.describe import describe
from stack.run.joined import joined
from stack.settings import Settings
from stack.topology.processes import Process
from stack.topology.workloads import NAMESPACE, authority


def run(chosen: Settings, options: argparse.Namespace) -> int:
    """Join, run the sidecar until it ends or is interrupted, leave; the sidecar's exit code."""
    with joined(describe(chosen), options.service) as sidecar:
        print(instructions(sidecar, options.service), file=sys.stderr)
        return attend(sidecar, environment(chosen, sidecar), directory=chosen.checkout)


def instructions(sidecar: Process, name: str) -> str:
    """Return what the service has to know of its place."""
    outbound = sidecar.listens[1]
    return (
        f"{name} is cluster.local/ns/{NAMESPACE}/sa/{name} while this runs; Ctrl-C takes it out of the mesh.\n"
        f"It calls services at {outbound}, by their names: {authority('orders')}"
    )
