"""
docs/mesh-for-your-services.md, command by command.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/mesh-for-your-services.md"
BLOCKS = re.compile(r"```sh\n(?P<commands>.*?)```\n```text\n(?P<text>.*?)```", re.DOTALL)
# Other than the page's, so that a reader's mesh may run meanwhile.
NETWORK = int(os.environ.get("MESH_NETWORK", "41")) + 60
READY_S = 60.0


def run(commands: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Return the result of shell commands."""
    return subprocess.run(commands, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def blocks() -> list[tuple[str, list[str]]]:
    """Return the page's commands with the lines that they print, for a mesh in the test's network."""
    found = BLOCKS.finditer(PAGE.read_text().replace("127.90.", f"127.{NETWORK}."))
    return [(block["commands"], block["text"].splitlines()) for block in found]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the example's files and the command, as in a checkout."""
    (tmp_path / "mesh").symlink_to(ROOT / "mesh")
    example = tmp_path / "examples" / "mesh"
    example.parent.mkdir()
    subprocess.run(["cp", "-r", str(ROOT / "examples" / "mesh"), str(example)], check=True)
    services = yaml.safe_load((example / "services.yaml").read_text())
    (example / "services.yaml").write_text(yaml.safe_dump({"network": NETWORK, **services}))
    return tmp_path


@pytest.fixture
def running(checkout: Path) -> Iterator[tuple[Path, Path]]:
    """Start the page's mesh, wait until it says that it is ready, and end it as Ctrl-C does."""
    (command, _), printed = blocks()[0], checkout / "printed"
    with printed.open("w") as out:
        process = subprocess.Popen(f"exec {command}", shell=True, cwd=checkout, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + READY_S
        while "ready" not in printed.read_text():
            assert process.poll() is None, printed.read_text()
            assert time.monotonic() < deadline, printed.read_text()
            time.sleep(0.2)
        yield checkout, printed
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_every_command_of_the_page_prints_what_the_page_says(running: tuple[Path, Path]) -> None:
    checkout, printed = running
    (_, lines), *others = blocks()
    assert printed.read_text().splitlines() == lines
    assert len(others) == 4
    for commands, wanted in others:
        done = run(commands, checkout)
        assert [line for line in wanted if line not in done.stdout] == [], done.stdout + done.stderr


def test_the_page_shows_the_file_that_runs() -> None:
    assert f"```yaml\n{(ROOT / 'examples/mesh/services.yaml').read_text()}```" in PAGE.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: [{name: a, command: [x], ports: [{name: tcp, port: 80}]}]", "services.0.ports.0.name"),
        ("services: [{name: a, command: [x], ports: [{name: http, port: 0}]}]", "services.0.ports.0.port"),
        ("services: [{name: client, command: [x], ports: [{name: http, port: 80}]}]", "'client' is there already"),
        ("services: [{nam: a}]", "services.0.nam"),
        ("services: [", "services.yaml"),
        ("{}", "services"),
    ],
)
def test_a_wrong_file_is_refused_with_its_field(checkout: Path, text: str, message: str) -> None:
    (checkout / "services.yaml").write_text(text)
    done = run("./mesh up --services services.yaml examples/mesh/istio", checkout)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_ends_is_named_and_ends_the_others(checkout: Path) -> None:
    text = f"network: {NETWORK}\nservices: [{{name: short, command: ['false'], ports: [{{name: http, port: 80}}]}}]"
    (checkout / "services.yaml").write_text(text)
    done = run("./mesh up --services services.yaml examples/mesh/istio", checkout)
    assert (done.returncode, done.stderr) == (1, f"short-0 has ended; see {checkout}/.mesh/logs/short-0.log\n")


def test_a_command_without_a_mesh_says_how_to_start_one(checkout: Path) -> None:
    done = run("./mesh proxy-status", checkout)
    assert (done.returncode, done.stderr) == (1, f"{checkout}/.mesh: there is no mesh; `mesh up` starts one\n")
