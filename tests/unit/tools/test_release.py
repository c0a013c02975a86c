"""`make release`: its images by digest, and what stops it; tests/cluster/test_release.py makes a whole one."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

from images.catalogue import CLUSTER
from stack import settings
from stack.settings import CHECKOUT
from tools import go_programs
from tools.release import __main__ as release
from tools.release import contents, images
from tools.release.programs import Failed

REGISTRY = "registry.example.com/shop"
DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


def test_a_digest_is_of_the_references_own_repository():
    names = [f"localhost/shop/orders@{OTHER}", f"{REGISTRY}/orders-old@{OTHER}", f"{REGISTRY}/orders@{DIGEST}"]
    assert images.digest(names, f"{REGISTRY}/orders:1a2b") == DIGEST
    assert images.digest(names, f"{REGISTRY}/inventory:1a2b") == ""
    # A port is no tag.
    assert images.digest([f"127.0.0.1:5000/orders@{DIGEST}"], "127.0.0.1:5000/orders:1a2b") == DIGEST


@pytest.mark.parametrize("version", ["", "1", "1.2", "01.2.3", "v1.2.3", "1.2.3+4", "1.2.3/../../x", "1.2.3 "])
def test_a_version_that_is_not_semantic_is_refused(version, monkeypatch, capsys):
    monkeypatch.setenv("VERSION", version)
    monkeypatch.setattr(release, "release", None)
    assert release.main() == 1
    assert "VERSION" in capsys.readouterr().out


@pytest.mark.parametrize("version", ["0.1.0", "1.20.3", "1.0.0-rc.1"])
def test_a_semantic_version_is_taken(version):
    assert release.VERSION.fullmatch(version)


class Checkout:
    """The programs of a release: an engine with every image, git, helm and syft that do nothing."""

    def __init__(self, monkeypatch, tmp_path, *, changed="", pushed=True) -> None:
        self.changed, self.pushed = changed, pushed
        self.charts: list[dict[str, str]] = []
        monkeypatch.setenv("REGISTRY", REGISTRY)
        for module in (release, images, contents):
            monkeypatch.setattr(module, "run", self.run)
        monkeypatch.setattr(go_programs, "program", lambda folder, name, _: folder / name)
        monkeypatch.setattr(release.chart, "write", self.write)
        monkeypatch.setattr(release.chart, "pack", self.pack)
        self.output = tmp_path

    def make(self, *, push):
        chosen = settings.read({}, checkout=CHECKOUT)
        return release.release("1.2.3", chosen, push=push, output=self.output)

    def run(self, command, **_):
        if command[0] == "git":
            return self.changed if "status" in command else "abc\n"
        if command[0] == "docker":
            names = [f"{command[-1].rpartition(':')[0]}@{DIGEST}"] if self.pushed else []
            return json.dumps([{"Id": OTHER, "RepoDigests": names}])
        (target,) = (each.removeprefix("spdx-json=") for each in command if each.startswith("spdx-json="))
        return str(subprocess.run(["cp", "/dev/null", target], check=True))

    def write(self, folder, *, digests):
        self.charts.append(dict(digests))
        (folder / "shop").mkdir()
        return folder / "shop"

    def pack(self, _program, _folder, output):
        (output / "shop-1.2.3.tgz").write_text("chart")
        return 0


def test_a_pushed_release_names_every_image_by_digest(monkeypatch, tmp_path):
    checkout = Checkout(monkeypatch, tmp_path)
    folder = checkout.make(push=True)
    assert checkout.charts == [dict.fromkeys([each.name for each in CLUSTER], DIGEST)]
    about = json.loads((folder / "images.json").read_text())
    assert (about["version"], about["commit"], about["modified"]) == ("1.2.3", "abc", False)
    assert {each["name"]: each["digest"] for each in about["images"]} == checkout.charts[0]
    bills = {f"{each.name}.spdx.json" for each in CLUSTER} | {"pages-scripts.spdx.json"}
    found = {each.name for each in folder.iterdir()}
    assert found == bills | {"shop-1.2.3.tgz", "images.json", "SHA256SUMS"}
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        found.remove(name)
    assert found == {"SHA256SUMS"}


def test_what_is_not_pushed_is_named_by_tag_and_said(monkeypatch, tmp_path, capsys):
    checkout = Checkout(monkeypatch, tmp_path, pushed=False)
    folder = checkout.make(push=False)
    assert checkout.charts == [{}]
    assert "named by tag: orders, inventory" in capsys.readouterr().out
    assert {each["digest"] for each in json.loads((folder / "images.json").read_text())["images"]} == {None}


@pytest.mark.parametrize(("state", "says"), [({"changed": " M a\n"}, "of a commit"), ({"pushed": False}, "no digest")])
def test_a_pushed_release_is_of_a_commit_and_of_a_registry(state, says, monkeypatch, tmp_path):
    with pytest.raises(Failed, match=says):
        Checkout(monkeypatch, tmp_path, **state).make(push=True)
    assert not list(tmp_path.iterdir())


def test_an_image_that_is_not_built_is_named(monkeypatch):
    def run(_):
        raise Failed("no such image")

    monkeypatch.setattr(images, "run", run)
    with pytest.raises(Failed, match=f"{REGISTRY}/orders:.* is not built"):
        images.built(CLUSTER[0], REGISTRY)
