"""
What kube-score finds in rendered manifests, except for what is listed here with its reason.

Not checkov as well: it takes 290 MB and 5 s of CPU for one overlay (measured). What it finds in production beyond this
are secrets in variables, tags that are no digests, tokens of service accounts (off at the accounts, where it does not
look), and that the edge may list secrets, which Istio asks for.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stack.settings import Settings
from tools import go_programs

PROGRAM = "github.com/zegl/kube-score/cmd/kube-score@v1.20.0"
KUBERNETES = "v1.34"
TIMEOUT_S = 60
GOOD = 7
"""Grades: 1 critical, 5 warning, 7 almost, 10 fine."""
NOT_WANTED: Mapping[str, str] = {
    "container-image-tag": "k8s/render.py and the chart name the images",
    "container-image-pull-policy": "a tag is a digest of what is in the image, so it never means another one",
    "deployment-has-host-podantiaffinity": "topologySpreadConstraints do that; tests/unit/k8s/test_manifests.py",
    "statefulset-has-host-podantiaffinity": "the same",
}
"""Checks of kube-score that are off, and why."""
CPU_LIMIT = "--ignore-container-cpu-limit"  # A limit throttles a pod while its node is idle; requests share the CPU.
_ONE_POD = "one pod behind a Service: nobody asks for the pod by name"
_OPERATED = "with k8s/operators the operator makes the pods"
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("pod-probes", "Deployment/edge"): "Istio's injection adds it",
    ("container-security-context-user-group-id", "Deployment/edge"): "Istio's injection sets its user",
    ("pod-probes-identical", "Deployment/pages"): "it has no state and calls nobody to be ready; liveness is slower",
    ("pod-probes-identical", "Deployment/prober"): "nobody calls it; liveness is slower",
    ("pod-probes-identical", "StatefulSet/issuer"): "the same",
    ("pod-probes-identical", "StatefulSet/kafka"): "a broker opens its port when it is ready; liveness is slower",
    ("deployment-replicas", "Deployment/inventory"): "with Argo Rollouts its Rollout has the replicas",
    (
        "horizontalpodautoscaler-has-target",
        "HorizontalPodAutoscaler/inventory",
    ): "with Argo Rollouts it scales a Rollout",
    ("service-type", "Service/edge"): "one node has no load balancer",
    ("networkpolicy-targets-pod", "NetworkPolicy/postgres"): _OPERATED,
    ("networkpolicy-targets-pod", "NetworkPolicy/kafka"): _OPERATED,
    ("networkpolicy-targets-pod", "NetworkPolicy/kafka-entity-operator"): _OPERATED,
    ("service-targets-pod", "Service/postgres-primary"): "Patroni labels the pod that leads",
    ("statefulset-has-servicename", "StatefulSet/redis"): _ONE_POD,
    ("statefulset-has-servicename", "StatefulSet/issuer"): _ONE_POD,
    ("statefulset-has-servicename", "StatefulSet/prometheus"): _ONE_POD,
}
"""What a check finds in an object, and why that is as it should be."""
Finding = tuple[str, str]


def findings(settings: Settings, objects: Iterable[Mapping[str, Any]]) -> dict[Finding, str]:
    """Return what kube-score says of each check and object; raises `NotThere` without Go."""
    kube_score = go_programs.program(settings.tool("kube-score-v1.20.0"), "kube-score", PROGRAM)
    return dict(_bad(json.loads(_run(kube_score, objects))))


def unexpected(found: Mapping[Finding, str]) -> list[str]:
    """Return the findings that are no exceptions, one a line."""
    return [f"{name}: {check}: {text}" for (check, name), text in found.items() if (check, name) not in EXCEPTIONS]


def stale(found: Collection[Finding]) -> list[str]:
    """Return the exceptions that nothing needs any more."""
    return [f"{name}: {check} is an exception, but nothing is found" for check, name in EXCEPTIONS.keys() - found]


def _run(kube_score: Path, objects: Iterable[Mapping[str, Any]]) -> str:
    ignored = [word for name in NOT_WANTED for word in ("--ignore-test", name)]
    command = [str(kube_score), "score", "-o", "json", f"--kubernetes-version={KUBERNETES}", CPU_LIMIT, *ignored, "-"]
    text = "\n---\n".join(json.dumps(each) for each in objects)
    # It exits with 1 if it finds something.
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if not done.stdout:
        raise ValueError(f"kube-score: {done.stderr[-1000:]}")
    return done.stdout


def _bad(judged: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Finding, str]]:
    for each in judged:
        kind, name = each["type_meta"]["kind"], each["object_meta"]["name"]
        for check in each["checks"]:
            if not check["skipped"] and check["grade"] < GOOD:
                comments = [f"{one['path']} {one['summary']}".strip() for one in check["comments"] or ()]
                yield (check["check"]["id"], f"{kind}/{name}"), "; ".join(comments)
