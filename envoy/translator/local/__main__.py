"""
`mesh`: a service mesh of anybody's services on one machine, by Istio's files and in istioctl's words.
"""

import argparse
import sys
from pathlib import Path

from translator.__main__ import main as translate
from translator.local.up import Mesh, up
from translator.model.problems import InvalidMesh

# By command: the options of the translator's command of that name that its words are for.
COMMANDS = {
    "apply": ("file",),
    "delete": ("file",),
    "diff": ("file",),
    "proxy-status": ("workload",),
    "proxy-config": ("kind", "workload"),
    "breakers": (),
}
OPTIONAL = ("diff", "proxy-status")


def main(words: list[str] | None = None) -> int:
    """
    Run a command; 1 after saying what is wrong.
    """
    options, further = _parser().parse_known_args(words)
    mesh = Mesh(options.state.absolute())
    try:
        if options.command == "up":
            return up(mesh, options.services, options.istio)
        if options.command == "analyze":
            places = [option for option in mesh.options() if option.startswith(("--istio", "--registry"))]
            return translate(["check", *places])
        values = {name: getattr(options, name) for name in COMMANDS[options.command]}
        named = [f"--{name}={value}" for name, value in values.items() if value]
        return translate([options.command, *mesh.options(), *named, *further])
    except InvalidMesh as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mesh", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".mesh"), help="the folder for everything that is written")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start the services and their sidecars, until Ctrl-C")
    start.add_argument("--services", type=Path, required=True, help="the file of services")
    start.add_argument("istio", type=Path, nargs="+", help="a folder of Istio files")
    commands.add_parser("analyze", help="what istioctl analyze would warn of")
    for name, arguments in COMMANDS.items():
        one = commands.add_parser(name, help=f"as the translator's {name}")
        for argument in arguments:
            one.add_argument(argument, nargs="?" if name in OPTIONAL else None)
    return parser


if __name__ == "__main__":
    sys.exit(main())
