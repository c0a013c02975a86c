"""
Selectors: which workloads a resource applies to.
"""

from collections.abc import Mapping

from translator.model.registry import Workload
from translator.model.values import Block


def selects(spec: Block, workload: Workload) -> bool:
    """
    Return whether a policy's selector, if any, matches a workload.
    """
    return labels_of_selector(spec).items() <= workload.labels.items()


def labels_of_selector(spec: Block) -> Mapping[str, str]:
    """
    Return the labels that a policy selects: `selector.matchLabels` or `workloadSelector.labels`.
    """
    labels: Mapping[str, str] = spec.get("selector", {}).get("matchLabels", {}) or spec.get("workloadSelector", {}).get(
        "labels", {}
    )
    return labels
