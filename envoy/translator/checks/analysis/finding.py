"""
What an analyzer finds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from translator.model.resources import Resource

ERROR, WARNING = "Error", "Warning"


@dataclass(frozen=True, order=True)
class Finding:
    """
    One finding: how bad, Istio's code, the resource by title, its file, and what is wrong.
    """

    level: str
    code: str
    resource: str
    file: str
    message: str

    def __str__(self) -> str:
        return f"{self.level} [{self.code}] ({self.resource} {self.file}) {self.message}"


def error(code: str, resource: Resource, message: str) -> Finding:
    """
    Something that cannot work as it is.
    """
    return Finding(ERROR, code, resource.title, resource.file, message)


def warning(code: str, resource: Resource, message: str) -> Finding:
    """
    Something that is likely not meant.
    """
    return Finding(WARNING, code, resource.title, resource.file, message)


def not_found(resource: Resource, what: str, name: str) -> Finding:
    """
    Return the finding of a reference to nothing (ReferencedResourceNotFound).
    """
    return error("IST0101", resource, f'Referenced {what} not found: "{name}"')


def shown(labels: Mapping[str, str]) -> str:
    """
    Return a selector as istioctl writes it.
    """
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
