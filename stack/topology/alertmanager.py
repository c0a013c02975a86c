"""
The process that makes notifications of alerts, if a stack has somebody to notify.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from stack.topology.addresses import Endpoint, Host, Port
from stack.topology.checks import HttpCheck
from stack.topology.plan import Plan
from stack.topology.processes import Process, Role

NAME = "alertmanager-0"


def processes(plan: Plan) -> Iterator[Process]:
    """Return Alertmanager; nothing if there is nobody to notify."""
    if not plan.settings.alert_webhook:
        return
    listen = listens_at(plan)
    yield Process(
        name=NAME,
        service="alertmanager",
        role=Role.MONITOR,
        command=(
            str(plan.programs.alertmanager),
            f"--config.file={configuration_file(plan)}",
            f"--storage.path={plan.settings.data}/{NAME}",
            f"--web.listen-address={listen}",
            # One of them needs no cluster.
            "--cluster.listen-address=",
            "--log.level=warn",
        ),
        listens=(listen,),
        check=HttpCheck(listen, "/-/ready"),
    )


def listens_at(plan: Plan) -> Endpoint:
    """Return the address of Alertmanager's page and API."""
    return plan.network.at(Host.ALERTMANAGER, Port.ALERTMANAGER)


def configuration_file(plan: Plan) -> Path:
    """Return the path of Alertmanager's configuration."""
    return plan.settings.conf / "alertmanager.yml"


def configuration(source: str, webhook: str) -> str:
    """Return *source*, the configuration in monitoring/, in which every receiver posts to the URL *webhook*."""
    document = yaml.safe_load(source)
    for receiver in document["receivers"]:
        if receiver["name"] == "nobody":
            continue
        receiver["webhook_configs"] = [{"url": webhook, "send_resolved": receiver["name"] != "watchdog"}]
    return yaml.safe_dump(document, sort_keys=False)
