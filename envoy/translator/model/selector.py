"""
Selectors: which workloads a resource applies to.
"""

from collections.abc import Mapping

from translator.model.registry import Workload
from translator.model.values import Block


def selects(spec: Block, workload: Workload) -> bool:
    """
    Whether a policy's selector, if any, takes in a workload.
    """
    return labels_of_selector(spec).items() <= workload.labels.items()


def labels_of_selector(spec: Block) -> Mapping[str, str]:
    """
    The labels a policy asks for: `selector.matchLabels` or `workloadSelector.labels`.
    """
    labels: Mapping[str, str] = spec.get("selector", {}).get("matchLabels", {}) or spec.get("workloadSelector", {}).get(
        "labels", {}
    )
    return labels
