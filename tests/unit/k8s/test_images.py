"""What images are built from is in the build's context, and in the hash that is their tag."""

from pathlib import Path

import pytest

from images.catalogue import EVERYTHING
from stack.settings import CHECKOUT


def context():
    """Return what .dockerignore includes."""
    lines = (CHECKOUT / ".dockerignore").read_text().splitlines()
    return [Path(line.removeprefix("!")) for line in lines if line.startswith("!")]


def copied(image):
    """Return what the image's Dockerfile copies from the checkout."""
    for line in (CHECKOUT / image.dockerfile).read_text().splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not any(word.startswith("--from") for word in words):
            for source in words[1:-1]:
                if not source.startswith("--"):
                    yield Path(source.replace("${SERVICE}", image.arguments.get("SERVICE", "")))


def outside(paths, folders):
    return [str(path) for path in paths if not any(path.is_relative_to(folder) for folder in folders)]


@pytest.mark.parametrize("image", EVERYTHING, ids=lambda image: image.name)
def test_what_an_image_needs_is_in_the_builds_context(image):
    needed = [Path(f"images/{image.folder}"), *map(Path, image.inputs), *copied(image)]
    assert outside(needed, context()) == []


@pytest.mark.parametrize("image", EVERYTHING, ids=lambda image: image.name)
def test_what_an_image_copies_changes_its_tag(image):
    inputs = [f"images/{image.folder}", *image.inputs]
    assert outside(copied(image), inputs) == []
