"""`make release` of the images that are deployed: the chart that it packs, and what it says is in the images."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile

import pytest
import yaml

from images.catalogue import CHECKOUT, CLUSTER
from stack import settings
from tools.release import contents

CHOSEN = settings.read(os.environ, checkout=CHECKOUT)
VERSION = "0.0.1-test.1"
RELEASE_S = 600
pytestmark = [
    pytest.mark.timeout(RELEASE_S + 60),
    pytest.mark.skipif(
        not (CHOSEN.tool(f"syft-{contents.SYFT}") / "syft").exists(), reason="no syft: `make release` builds it"
    ),
]
# One package of each kind that an image must be seen to have.
INSIDE = {
    "orders": {"asyncpg", "grpcio", "libc6"},
    "inventory": {"redis", "grpcio", "libc6"},
    "postgres": {"patroni", "postgresql-15"},
    "kafka": {"kafka-clients", "openjdk-17-jre-headless"},
    "redis": {"redis-server"},
    "pages-scripts": {"preact", "uplot"},
}


@pytest.fixture(scope="module")
def folder():
    done = subprocess.run(
        ["make", "release", f"VERSION={VERSION}"], cwd=CHECKOUT, capture_output=True, text=True, timeout=RELEASE_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return CHECKOUT / "build/release" / VERSION


@pytest.mark.parametrize("name", INSIDE)
def test_the_bill_of_materials_has_what_is_in_the_image(name, folder):
    bill = json.loads((folder / f"{name}.spdx.json").read_text())
    assert bill["spdxVersion"].startswith("SPDX-2")
    assert INSIDE[name] <= {each["name"] for each in bill["packages"]}


def test_the_chart_has_the_version_and_the_images_of_the_list(folder):
    with tarfile.open(folder / f"shop-{VERSION}.tgz") as packed:
        about, values = (yaml.safe_load(packed.extractfile(f"shop/{name}.yaml")) for name in ("Chart", "values"))
    assert (about["version"], about["appVersion"]) == (VERSION, VERSION)
    listed = {each["name"]: each["reference"] for each in json.loads((folder / "images.json").read_text())["images"]}
    assert listed.keys() == {each.name for each in CLUSTER}
    for name, tag in values["images"]["tags"].items():
        assert listed[name] == f"{values['images']['registry']}/{name}:{tag}"


def test_the_sums_are_right(folder):
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
