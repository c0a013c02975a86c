"""
The long-running controller: the counterpart of istiod for a mesh of local Envoys.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog
import watchfiles

from translator.checks.analysis.analyze import analyze
from translator.checks.analysis.finding import ERROR, WARNING, Finding
from translator.checks.static_bootstrap import refusal
from translator.checks.validation import Checker
from translator.control.admin import loaded
from translator.control.breakers import Watch, read_breakers
from translator.control.certificates import issue_certificates, utc_now
from translator.control.files import replace
from translator.control.metrics import APPLIED, FINDINGS, REFUSED, STALE
from translator.control.places import Places, configurations, mesh_of
from translator.control.probe import Prober
from translator.control.rollout import Generation, Result, generation, is_change, roll_out, stale
from translator.model.problems import InvalidMesh, Problem
from translator.model.registry_file import joined_folder, load_registry

log = structlog.get_logger()
PROBE_S, PROBE_WAITING_S = 2.0, 0.5
ROTATION_S = 60.0
COMPARE_S = 10.0
DEBOUNCE_MS, STEP_MS = 60, 20
RESYNC_MS = 1000


@dataclass
class Status:
    """
    The content of `status.json`: the last error, if any, and what each Envoy has.

    `attempted_at` and `looked_at` are in seconds since 1970, the other times are in ISO 8601.
    """

    attempted_at: float = 0.0
    looked_at: float = 0.0
    error: str | None = None
    error_at: str | None = None
    applied_at: str | None = None
    findings: list[str] = field(default_factory=list)
    not_ready: list[str] = field(default_factory=list)
    workloads: dict[str, dict[str, Any]] = field(default_factory=dict)


class Controller:
    """
    Keeps every Envoy in sync with the files and the applications' readiness.
    """

    def __init__(self, places: Places, envoy: str) -> None:
        self.places, self.envoy = places, envoy
        self.status = Status()
        self.current = Generation()
        self.registry = load_registry(places.registry)
        self.not_ready: frozenset[str] = frozenset(workload.name for workload in self.registry.workloads)
        self._prober = Prober()
        self._checker = Checker()
        self._watch_breakers = Watch()
        self._turn = asyncio.Lock()
        self._read: set[tuple[str, int, int]] = set()

    async def run(self) -> None:
        """
        Run until cancelled.
        """
        self.places.applied.mkdir(parents=True, exist_ok=True)
        joined_folder(self.places.registry).mkdir(exist_ok=True)
        await self.renew_certificates()
        self.not_ready = await self._prober.not_ready(self.registry.workloads)
        await self.update("start")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._probe())
                group.create_task(self._compare())
                group.create_task(self._rotate())
        finally:
            await self._prober.close()

    async def update(self, why: str) -> None:
        """
        Read everything again and roll it out; invalid files leave the running configuration unchanged.
        """
        async with self._turn:
            started, attempted_at = time.monotonic(), time.time()
            self._read = await asyncio.to_thread(self._files)
            try:
                after, findings = await asyncio.to_thread(self._translate)
                await self._roll_out(after)
            except InvalidMesh as error:
                self._refuse(str(error))
            except Exception as error:
                # A bug here must not end the controller; it is reported where people look.
                log.exception("update_failed")
                self._refuse(f"the controller failed: {error!r}; its log has more")
            else:
                took_ms = round((time.monotonic() - started) * 1000)
                log.info("configuration_applied", why=why, took_ms=took_ms, not_ready=sorted(self.not_ready))
                self.status.error, self.status.applied_at = None, utc_now().isoformat()
                self._report(findings)
                REFUSED.set(0)
                APPLIED.set_to_current_time()
            # A change made after the files were read is for the next attempt.
            self.status.attempted_at = attempted_at
            await self._write_status()

    async def renew_certificates(self) -> None:
        """
        Renew certificates that are past half of their lifetime; Envoys load them without interrupting calls.
        """
        issued = await asyncio.to_thread(issue_certificates, self.registry, self.places.certificates, now=utc_now())
        for identity in issued:
            log.info("certificate_issued", identity=identity)

    def _translate(self) -> tuple[Generation, tuple[Finding, ...]]:
        registry = load_registry(self.places.registry)
        whole = mesh_of(self.places, self._checker, not_ready=self.not_ready)
        after = generation(configurations(self.places, whole))
        if registry.workloads != self.registry.workloads:
            # Who has joined gets an identity before the files that name it.
            for identity in issue_certificates(registry, self.places.certificates, now=utc_now()):
                log.info("certificate_issued", identity=identity)
        self.registry = registry
        return after, analyze(whole)

    async def _roll_out(self, after: Generation) -> None:
        """
        Give every Envoy the new files; if one rejects them, or does not load them in time, all are rolled back.

        The first configuration, and changes of ready endpoints, cannot be rolled back: an Envoy that does not load
        them is reported as stale.
        """
        before = self.current
        must_be_taken = bool(before.configurations) and is_change(before, after)
        results = await roll_out(self.places.out, before, after, must_be_taken=must_be_taken)
        failed = {
            name: result for name, result in results.items() if result.refused or (must_be_taken and result.pending)
        }
        if failed:
            if before.configurations:
                await roll_out(self.places.out, after, before, must_be_taken=False)
            raise InvalidMesh(await asyncio.to_thread(self._failures, after, failed))
        self.current = after

    def _failures(self, after: Generation, failed: dict[str, Result]) -> list[Problem]:
        return [
            Problem(
                f"Envoy of {name}",
                ", ".join(result.refused or result.pending),
                "",
                refusal(self.envoy, after.configurations[name])
                or ("refused" if result.refused else "not loaded in time"),
            )
            for name, result in failed.items()
        ]

    def _report(self, findings: tuple[Finding, ...]) -> None:
        """
        Say what is in force and yet does not do what it seems to.
        """
        lines = [str(finding) for finding in findings]
        for line in lines:
            if line not in self.status.findings:
                log.warning("mesh_finding", finding=line)
        self.status.findings = lines
        for level in (ERROR, WARNING):
            FINDINGS.labels(level).set(sum(finding.level == level for finding in findings))

    def _refuse(self, error: str) -> None:
        log.error("configuration_refused", error=error)
        self.status.error, self.status.error_at = error, utc_now().isoformat()
        REFUSED.set(1)

    async def _write_status(self) -> None:
        self.status.not_ready, self.status.looked_at = sorted(self.not_ready), time.time()
        self._forget_who_left()
        states = await asyncio.gather(*(loaded(workload.admin) for workload in self.registry.workloads))
        for workload, state in zip(self.registry.workloads, states, strict=True):
            lacking = stale(self.current.files.get(workload.name, {}), state) if state else []
            if lacking and lacking != self.status.workloads.get(workload.name, {}).get("stale"):
                log.error("envoy_stale", workload=workload.name, files=lacking)
            STALE.labels(workload.name).set(len(lacking))
            self.status.workloads[workload.name] = {
                "running": state is not None,
                "stale": lacking,
                "ready": workload.name not in self.not_ready,
                "versions": dict(state.versions) if state else {},
            }
        content = json.dumps(vars(self.status), indent=1, sort_keys=True) + "\n"
        await asyncio.to_thread(replace, self.places.out / "status.json", content)

    def _forget_who_left(self) -> None:
        there = {workload.name for workload in self.registry.workloads}
        for name in [name for name in self.status.workloads if name not in there]:
            del self.status.workloads[name]
            STALE.remove(name)

    async def _watch(self) -> None:
        async for changed in self._changes():
            if changed:
                await self.update(f"changed: {', '.join(changed)}")
            elif await asyncio.to_thread(self._files) != self._read:
                # Nobody tells of what was changed before the watch began, or while the kernel's queue was full.
                await self.update("changed without notice")

    async def _changes(self) -> AsyncIterator[list[str]]:
        """
        Yield the names of the files that have changed, none after `RESYNC_MS` without a change.
        """
        watched = watchfiles.awatch(
            *self.places.istio,
            *self._own_folders(),
            watch_filter=self._is_ours,
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            recursive=False,
            rust_timeout=RESYNC_MS,
            yield_on_timeout=True,
        )
        async for changes in watched:
            yield sorted({Path(path).name for _, path in changes})

    def _files(self) -> set[tuple[str, int, int]]:
        """
        Return name, time and size of every file that is read.
        """
        found = set()
        for folder in (*self.places.istio, *self._own_folders()):
            for path in folder.iterdir() if folder.is_dir() else ():
                with contextlib.suppress(FileNotFoundError):
                    if self._is_ours(watchfiles.Change.modified, str(path)):
                        known = path.stat()
                        found.add((str(path), known.st_mtime_ns, known.st_size))
        return found

    def _own_folders(self) -> tuple[Path, ...]:
        return self.places.applied, self.places.registry.parent, joined_folder(self.places.registry)

    def _is_ours(self, _change: watchfiles.Change, path: str) -> bool:
        file = Path(path)
        if file.parent in (*self.places.istio, self.places.applied, joined_folder(self.places.registry)):
            return file.suffix in (".yaml", ".yml") and not file.name.startswith(".")
        return file == self.places.registry

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(PROBE_WAITING_S if self.not_ready else PROBE_S)
            not_ready = await self._prober.not_ready(self.registry.workloads)
            if not_ready != self.not_ready:
                self.not_ready = not_ready
                await self.update("readiness changed")
            await self._write_breakers()

    async def _compare(self) -> None:
        """
        Check periodically whether every Envoy still has the configuration it was given.
        """
        while True:
            await asyncio.sleep(COMPARE_S)
            async with self._turn:
                await self._write_status()

    async def _write_breakers(self) -> None:
        found = self._watch_breakers.look(await read_breakers(self.registry.workloads), utc_now())
        content = json.dumps([asdict(breaker) for breaker in found], indent=1) + "\n"
        await asyncio.to_thread(replace, self.places.out / "breakers.json", content)

    async def _rotate(self) -> None:
        while True:
            await asyncio.sleep(ROTATION_S)
            with contextlib.suppress(OSError):
                await self.renew_certificates()


def configure_log() -> None:
    """
    Log one JSON object a line.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )
