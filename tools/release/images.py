"""The images that were built, as the container engine has them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from images.catalogue import Image
from tools.release.programs import Failed, run


@dataclass(frozen=True)
class Built:
    """An image: its name in the catalogue, its full name, the engine's id of it, its digest in the registry."""

    name: str
    reference: str
    id: str
    digest: str
    """`sha256:…`, or empty for one that was not pushed."""

    def about(self) -> dict[str, str | None]:
        """Return it as images.json has it."""
        return {"name": self.name, "reference": self.reference, "id": self.id, "digest": self.digest or None}


def built(image: Image, registry: str) -> Built:
    """Return an image that the engine has; raises `Failed` if it has none of that tag."""
    reference = image.reference(registry)
    try:
        [found] = json.loads(run(["docker", "image", "inspect", reference]))
    except Failed as error:
        raise Failed(f"{reference} is not built (make images): {error}") from error
    return Built(image.name, reference, found["Id"], digest(found.get("RepoDigests") or (), reference))


def digest(names: Iterable[str], reference: str) -> str:
    """Return the digest among an image's *names* (`REPOSITORY@sha256:…`) that is of the reference's repository."""
    repository = reference.rpartition(":")[0]
    return next((found for name, _, found in (each.partition("@") for each in names) if name == repository), "")
