"""
The command line: check, write, certificates.
"""

import argparse
import sys
from pathlib import Path

from translator.certificates import issue_certificates, utc_now
from translator.mesh import Mesh
from translator.output import files_of, remove_files, write_files
from translator.problems import InvalidMesh
from translator.registry import Registry, load_registry
from translator.resources import load_resources
from translator.translate import translate

EMPTY = Registry("cluster.local", "cluster.local", "istio-system", {}, (), ())


def main(arguments: list[str] | None = None) -> int:
    """
    Run one command; 1 if the files are wrong, with a line for each mistake.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except InvalidMesh as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1


def _check(options: argparse.Namespace) -> None:
    registry = load_registry(options.registry) if options.registry else EMPTY
    resources = load_resources(*options.istio)
    translate(Mesh(registry, resources), out=Path("/nowhere"), certificates=Path("/nowhere"))
    print(f"{len(resources)} resources are good")


def _write(options: argparse.Namespace) -> None:
    mesh = Mesh(load_registry(options.registry), load_resources(*options.istio))
    out, certificates = options.out.absolute(), options.certificates.absolute()
    for configuration in translate(mesh, out=out, certificates=certificates):
        folder, files = out / configuration.workload.name, files_of(configuration)
        changed = [*write_files(folder, files), *remove_files(folder, files)]
        print(f"{configuration.workload.name}: {len(changed)} of {len(files)} files changed")


def _certificates(options: argparse.Namespace) -> None:
    issued = issue_certificates(load_registry(options.registry), options.out, now=utc_now(), renew=options.renew)
    for identity in issued:
        print(f"issued {identity}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m translator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = _command(commands, "check", "check the Istio files", _check, istio=True, registry=False)
    check.add_argument("--registry", type=Path)
    write = _command(commands, "write", "write the configuration of every Envoy", _write, istio=True, registry=True)
    write.add_argument("--certificates", type=Path, required=True)
    write.add_argument("--out", type=Path, required=True)
    certificates = _command(
        commands, "certificates", "issue and renew certificates", _certificates, istio=False, registry=True
    )
    certificates.add_argument("--out", type=Path, required=True)
    certificates.add_argument("--renew", action="store_true", help="renew all, not only those past half of their life")
    return parser


def _command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, run: object, *, istio: bool, registry: bool) -> argparse.ArgumentParser:  # fmt: skip
    parser = commands.add_parser(name, help=text)
    parser.set_defaults(run=run)
    if istio:
        parser.add_argument(
            "--istio", type=Path, required=True, action="append", help="a folder of Istio files; may be said again"
        )
    if registry:
        parser.add_argument("--registry", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
