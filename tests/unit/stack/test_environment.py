import base64
import hashlib
import subprocess
from importlib import metadata

import pytest

from stack.install import environment
from stack.install.environment import EnvironmentFailed
from stack.settings import Settings

LOCK = """\
uv==1.2.3 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via shop
uvloop==0.1 \\
    --hash=sha256:cc
"""


def test_one_requirement_is_read_from_the_lock_with_its_hashes():
    lines = environment.lock_lines(LOCK, "uv")
    assert "sha256:aa" in lines
    assert "sha256:bb" in lines
    assert "sha256:cc" not in lines


def test_an_unlocked_requirement_is_an_error():
    with pytest.raises(EnvironmentFailed, match="does not pin pip"):
        environment.lock_lines(LOCK, "pip")


def test_another_lock_is_another_environment(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    first = environment.fingerprint(lock)
    assert environment.fingerprint(lock) == first
    lock.write_text(LOCK.replace("bb", "dd"))
    assert environment.fingerprint(lock) != first


@pytest.fixture
def checkouts(tmp_path, monkeypatch):
    """Two checkouts with the same lock; their shared environment has one small package."""
    filled = []

    def fill(shared, lock, say):
        filled.append(shared)
        packages = environment._site_packages(shared)
        packages.mkdir(parents=True)
        (packages / "shared_package.py").touch()
        (shared / "bin").mkdir()
        (shared / "bin" / "tool").write_text("#!/bin/sh")
        (shared / environment.FILLED).write_text(environment.fingerprint(lock))

    monkeypatch.setattr(environment, "_fill", fill)
    made = []
    for name in ("first", "the second"):
        checkout = tmp_path / name
        (checkout / "build" / "stubs").mkdir(parents=True)
        (checkout / "requirements.lock").write_text(LOCK)
        (checkout / "source.py").write_text(f"WHOSE = {name!r}")
        made.append(Settings(checkout=checkout, state=tmp_path / "state", tools=tmp_path / "tools"))
    return made, filled


def test_checkouts_of_one_lock_share_one_environment_and_see_their_own_sources(checkouts):
    (first, second), filled = checkouts
    for settings in (first, second):
        python = environment.ensure(settings, say=print)
        ask = "import source, shared_package, sysconfig; print(source.WHOSE, sysconfig.get_path('scripts'))"
        output = subprocess.run([python, "-c", ask], capture_output=True, text=True, cwd="/", check=True).stdout
        assert output == f"{settings.checkout.name} {settings.venv}/bin\n"
        assert (settings.venv / "bin" / "tool").resolve().parent == filled[0] / "bin"
    assert len(filled) == 1


def test_a_changed_lock_uses_another_environment_and_keeps_the_first(checkouts):
    (first, second), filled = checkouts
    environment.ensure(first, say=print)
    environment.ensure(second, say=print)
    (first.checkout / "requirements.lock").write_text(LOCK.replace("bb", "dd"))
    environment.ensure(first, say=print)
    assert len(set(filled)) == 2
    assert all((shared / environment.FILLED).exists() for shared in filled)
    assert (first.venv / "bin" / "tool").resolve().parent == filled[1] / "bin"
    assert (second.venv / "bin" / "tool").resolve().parent == filled[0] / "bin"


def test_the_lock_in_use_pins_the_installer_itself():
    from stack.settings import CHECKOUT

    assert environment.lock_lines((CHECKOUT / "requirements.lock").read_text(), "uv").startswith("uv==")


@pytest.mark.parametrize("package", environment.OVERWRITTEN)
def test_no_other_package_has_overwritten_a_packages_modules(package):
    for file in metadata.files(package):
        if file.suffix == ".py" and file.hash is not None:
            digest = hashlib.new(file.hash.mode, file.read_binary()).digest()
            assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == file.hash.value, str(file)
