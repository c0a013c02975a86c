import subprocess

import pytest

from stack.install import packages
from stack.install.packages import MissingPackages, Requirement


@pytest.fixture
def commands(monkeypatch):
    """Record the commands to run as root; password-less sudo is missing."""
    recorded = []

    def run(command, **options):
        recorded.append([str(word) for word in command])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packages.subprocess, "run", run)
    monkeypatch.setattr(packages, "privilege", list)
    return recorded


def requirement(name, *answers):
    remaining = list(answers)
    return Requirement(name, "a test", lambda: remaining.pop(0) if len(remaining) > 1 else remaining[0])


def test_nothing_is_run_when_nothing_is_missing(commands):
    packages.ensure([requirement("there", True)], say=print)
    assert commands == []


def test_only_what_is_missing_is_installed(commands):
    packages.ensure([requirement("there", True), requirement("absent", False, True)], say=lambda text: None)
    install = next(command for command in commands if "install" in command)
    assert install[-1] == "absent"
    assert "there" not in install
    assert "--no-install-recommends" in install


def test_daemons_do_not_start_during_installation(commands, monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy-rc.d")
    packages.ensure([requirement("absent", False, True)], say=lambda text: None)
    words = [command[0] for command in commands]
    assert words.index("tee") < words.index("env") < words.index("rm")


def test_an_existing_policy_is_kept(commands, monkeypatch, tmp_path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("exit 101")
    monkeypatch.setattr(packages, "POLICY", policy)
    packages.ensure([requirement("absent", False, True)], say=lambda text: None)
    assert not {"tee", "rm"} & {command[0] for command in commands}


def test_without_root_everything_missing_is_listed_and_nothing_is_run(commands, monkeypatch):
    monkeypatch.setattr(packages, "privilege", lambda: None)
    with pytest.raises(MissingPackages) as refused:
        packages.ensure([requirement("one", False), requirement("two", False)], say=print)
    assert "sudo apt-get install --no-install-recommends one two" in str(refused.value)
    assert commands == []


def test_a_package_without_its_program_is_an_error(commands):
    with pytest.raises(MissingPackages, match="still not usable: broken"):
        packages.ensure([requirement("broken", False)], say=lambda text: None)


@pytest.mark.parametrize(("version", "found"), [("17.0.15", True), ("21", True), ("11.0.2", False), ("1.8.0", False)])
def test_java_is_accepted_from_version_17(tmp_path, monkeypatch, version, found):
    home = tmp_path / "java-of-debian"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    (home / "release").write_text(f'IMPLEMENTOR="Debian"\nJAVA_VERSION="{version}"\n')
    monkeypatch.setattr(packages, "JAVA_HOMES", tmp_path)
    monkeypatch.setattr(packages, "which", lambda program: None)
    assert (packages.java() is not None) == found


def test_maven_is_needed_only_without_the_jars(tmp_path):
    agent = tmp_path / "agent"

    def needed():
        return [each.package for each in packages.stores(kafka_libs=tmp_path, kafka_metrics_libs=agent)]

    assert "maven" in needed()
    (tmp_path / "kafka_2.13-4.3.1.jar").touch()
    assert "maven" in needed()
    agent.mkdir()
    assert "maven" not in needed()
