"""
Writes a stack's folders and configuration with the right owners.
"""

import os
import pwd
import shutil
from pathlib import Path

from stack.errors import StackError
from stack.run import cgroups, supervisor
from stack.topology import alertmanager, backups, configuration, traces
from stack.topology.passwords import keep_files, write_private
from stack.topology.plan import Plan
from stack.topology.processes import Process


class UnreachableState(StackError):
    """The user postgres has no access to the state folder."""


def everything(plan: Plan, processes: list[Process]) -> None:
    """Write all configuration; idempotent."""
    settings, user = plan.settings, plan.programs.postgres_user
    if user is not None:
        check_reachable(settings.state, user)
    # First: whatever has data has a profile.
    write_private(settings.profiled, f"{settings.profile.name}\n")
    for name in ("etcd-0", "redis-0", "prometheus-0"):
        (settings.data / name).mkdir(exist_ok=True, mode=0o700)
    for member in plan.members:
        name = f"postgres-{member}"
        _make_owned(settings.data / name, user)
        write_private(settings.conf / f"{name}.yml", configuration.patroni(plan, member), user=user)
    for broker in plan.brokers:
        (settings.data / f"kafka-{broker}").mkdir(exist_ok=True, mode=0o700)
        write_private(settings.conf / f"kafka-{broker}.properties", configuration.kafka(plan, broker))
    _make_owned(settings.backups, user)
    write_private(backups.configuration_file(settings), backups.configuration(plan), user=user)
    keep_files(settings.secret_files, plan.passwords)
    write_private(settings.conf / "redis-0.conf", configuration.redis(plan))
    write_private(settings.conf / "registry.yaml", configuration.registry(plan))
    (settings.conf / "istio").mkdir(exist_ok=True)
    write_private(settings.conf / "istio" / "issuer.yaml", configuration.issuer_entry(plan))
    _traces(plan)
    _alertmanager(plan)
    _probe(plan)
    sign_in = settings.checkout / "k8s" / "development-issuer" / "sign-in.yaml"
    write_private(settings.conf / "istio" / "sign-in.yaml", sign_in.read_text(encoding="utf-8"))
    mounted = cgroups.mount()
    within = None if mounted is None else cgroups.of_stack(settings, mounted)
    write_private(settings.conf / "supervisord.conf", supervisor.render(settings, processes, in_cgroups=within))
    _prometheus(plan)


def _traces(plan: Plan) -> None:
    """Mark the stack as traced, with how many traces are kept, or remove the mark."""
    settings, entry = plan.settings, plan.settings.conf / "istio" / "traces.yaml"
    if settings.traces:
        write_private(entry, traces.service_entry(plan))
        settings.traced.write_text(str(settings.traces_kept), encoding="utf-8")
    else:
        entry.unlink(missing_ok=True)
        settings.traced.unlink(missing_ok=True)


def _alertmanager(plan: Plan) -> None:
    """Write Alertmanager's configuration, and remember whom it notifies; remove both if that is nobody."""
    settings, target = plan.settings, alertmanager.configuration_file(plan)
    if settings.alert_webhook:
        (settings.data / alertmanager.NAME).mkdir(exist_ok=True, mode=0o700)
        source = (settings.checkout / "monitoring" / "alertmanager.yml").read_text(encoding="utf-8")
        write_private(target, alertmanager.configuration(source, settings.alert_webhook))
        write_private(settings.notified, settings.alert_webhook)
    else:
        target.unlink(missing_ok=True)
        settings.notified.unlink(missing_ok=True)


def _probe(plan: Plan) -> None:
    """Mark the stack as one with a prober, or remove the mark."""
    if plan.settings.probe:
        plan.settings.probed.touch()
    else:
        plan.settings.probed.unlink(missing_ok=True)


def _prometheus(plan: Plan) -> None:
    """
    Write Prometheus's targets and rules, which it reads from folders beside its configuration.

    The folders are kept: a running Prometheus watches them, and would miss changes after they were removed.
    """
    source, target = plan.settings.checkout / "monitoring", plan.settings.conf / "prometheus"
    for name in ("rules", "targets"):
        (target / name).mkdir(parents=True, exist_ok=True)
    wanted = set()
    for path in (source / "prometheus.yml", *source.glob("rules/*.yml")):
        wanted.add(Path(shutil.copy(path, target / path.relative_to(source))))
    for name, text in configuration.prometheus_targets(plan).items():
        (target / "targets" / name).write_text(text, encoding="utf-8")
        wanted.add(target / "targets" / name)
    for path in target.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def _make_owned(folder: Path, user: str | None) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def check_reachable(folder: Path, user: str) -> None:
    """Raise `UnreachableState` unless other users can enter *folder* and its parents."""
    for place in (folder, *folder.parents):
        if not place.stat().st_mode & 0o001:
            raise UnreachableState(f"STATE={folder}: the user {user} has no access to {place}; choose another folder")
