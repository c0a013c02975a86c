import base64
import hashlib
from importlib import metadata

import pytest

from stack.install import environment
from stack.install.environment import EnvironmentFailed

LOCK = """\
uv==1.2.3 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via shop
uvloop==0.1 \\
    --hash=sha256:cc
"""


def test_one_requirement_is_taken_from_the_lock_with_its_hashes():
    lines = environment.lock_lines(LOCK, "uv")
    assert "sha256:aa" in lines
    assert "sha256:bb" in lines
    assert "sha256:cc" not in lines


def test_a_requirement_that_is_not_locked_is_an_error():
    with pytest.raises(EnvironmentFailed, match="does not pin pip"):
        environment.lock_lines(LOCK, "pip")


def test_another_lock_or_another_checkout_is_another_environment(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    first = environment.fingerprint(lock, tmp_path)
    assert environment.fingerprint(lock, tmp_path) == first
    assert environment.fingerprint(lock, tmp_path / "other") != first
    lock.write_text(LOCK.replace("bb", "dd"))
    assert environment.fingerprint(lock, tmp_path) != first


def test_the_lock_in_use_pins_the_installer_itself():
    from stack.settings import CHECKOUT

    assert environment.lock_lines((CHECKOUT / "requirements.lock").read_text(), "uv").startswith("uv==")


@pytest.mark.parametrize("package", environment.OVERWRITTEN)
def test_no_other_package_has_overwritten_a_packages_modules(package):
    for file in metadata.files(package):
        if file.suffix == ".py" and file.hash is not None:
            digest = hashlib.new(file.hash.mode, file.read_binary()).digest()
            assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == file.hash.value, str(file)
