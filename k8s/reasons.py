"""Why pods do not become ready: what Kubernetes says in their status and in events."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from k8s.kubectl import ClusterError, get

# How long a reason may last before waiting on is pointless, in seconds; others may pass by themselves.
HOPELESS_AFTER: Mapping[str, float] = {
    "InvalidImageName": 5,
    "ErrImageNeverPull": 5,
    "FailedCreate": 20,
    "CreateContainerConfigError": 30,
    "ImagePullBackOff": 90,
}
MAX_MESSAGE = 300
Object = Mapping[str, Any]
Reason = tuple[str, str]


class Reasons:
    """
    What keeps the pods of a label selector from becoming ready.

    *clock* returns seconds.
    """

    def __init__(self, selector: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._selector = selector
        self._clock = clock
        self._since: dict[Reason, float] = {}
        self._old: set[str] | None = None

    def now(self) -> str:
        """Return the reasons as text, empty if none; raises `ClusterError` for one that does not pass by itself."""
        pods = get("pods", "-l", self._selector)
        owners = get("statefulsets,replicasets,jobs", "-l", self._selector)
        return self.of(pods, owners, self._new(get("events", "--field-selector=type=Warning")))

    def _new(self, events: Sequence[Object]) -> list[Object]:
        """Return the events that came, or came again, since the first look: others are of an earlier deployment."""
        if self._old is None:
            self._old = {each["metadata"]["resourceVersion"] for each in events}
        return [each for each in events if each["metadata"]["resourceVersion"] not in self._old]

    def of(self, pods: Sequence[Object], owners: Sequence[Object], events: Sequence[Object]) -> str:
        """Return the reasons that these objects have, as `now` does."""
        found = list(dict.fromkeys([*_of_pods(pods), *_of_owners(owners, events)]))
        self._since = {each: self._since.get(each, self._clock()) for each in found}
        for (reason, text), since in self._since.items():
            if self._clock() - since >= HOPELESS_AFTER.get(reason, float("inf")):
                raise ClusterError(f"this does not pass by itself: {text}")
        return "; ".join(text for _, text in found)


def _of_pods(pods: Sequence[Object]) -> Iterator[Reason]:
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        for condition in status.get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                yield _reason(condition.get("reason", "Unschedulable"), name, condition.get("message", ""))
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
                yield _reason(waiting["reason"], f"{name} {container['name']}", waiting.get("message", ""))


def _of_owners(owners: Sequence[Object], events: Sequence[Object]) -> Iterator[Reason]:
    """Return why a workload's pods are not even created, as PodSecurity and quotas cause: only an event says that."""
    short = {each["metadata"]["name"]: each for each in owners if _lacks_pods(each)}
    for event in events:
        about = event.get("involvedObject", {})
        if event.get("reason") == "FailedCreate" and about.get("uid") == _uid(short.get(about.get("name", ""))):
            yield _reason("FailedCreate", about["name"], event.get("message", ""))


def _lacks_pods(owner: Object) -> bool:
    spec, status = owner.get("spec", {}), owner.get("status", {})
    if owner.get("kind") == "Job":
        return not (status.get("active") or status.get("succeeded"))
    return int(status.get("replicas", 0)) < int(spec.get("replicas", 1))


def _uid(owner: Object | None) -> str:
    return str(owner["metadata"]["uid"]) if owner else "-"


def _reason(reason: str, who: str, message: str) -> Reason:
    text = " ".join(message.split())
    return reason, f"{who}: {reason}" + (f": {text[:MAX_MESSAGE]}" if text else "")
