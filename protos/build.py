"""
Build the contract: one descriptor set, and the wheel with the stubs.

    python protos/build.py [--release] [--no-install]

The descriptor set serves lint, the breaking-change check, the transcoder,
OpenAPI and reflection. Everything goes to `build/`, nothing is committed,
except that `--release` makes the contract the one that later changes must not
break (`protos/released.binpb`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent
BUILD = ROOT.parent / "build"
DESCRIPTORS = BUILD / "descriptors.binpb"
STUBS = BUILD / "stubs"
DRAFT = BUILD / "stubs.draft"
VALIDATE = "buf/validate/validate.proto"
# Error details are JSON at the edge only if their types are in the descriptor set.
ALSO_DESCRIBED = ("google/rpc/status.proto", "google/rpc/error_details.proto", "google/api/httpbody.proto")


def main() -> None:
    """
    Build everything and install the stubs into the environment that runs this, unless they are found in build/stubs.
    """
    options = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    options.add_argument("--release", action="store_true", help="later changes must not break this contract")
    options.add_argument("--no-install", action="store_true", help="this Python finds the stubs in build/stubs")
    chosen = options.parse_args()
    BUILD.mkdir(exist_ok=True)
    rules = _write_validation_rules(BUILD / "validate.binpb")
    _describe(rules)
    _generate(rules)
    wheel = _build_wheel()
    if not chosen.no_install:
        _install(wheel)
    if chosen.release:
        shutil.copy(_without_source_info(), ROOT / "released.binpb")


def _write_validation_rules(target: Path) -> Path:
    """
    Write protovalidate's own schema, which its package carries only as a descriptor.
    """
    described = FileDescriptorProto.FromString(validate_pb._DESC.proto.to_binary())
    target.write_bytes(FileDescriptorSet(file=[described]).SerializeToString())
    return target


def _sources() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("shop/**/*.proto"))


def _protoc(rules: Path, *arguments: str) -> None:
    """
    Run protoc with what the contract imports within reach; end the program if it fails.
    """
    google = Path(annotations_pb2.__file__).parents[2]
    included = ["-I", str(ROOT), "-I", str(google), "-I", str(Path(protoc.__file__).parent / "_proto")]
    if protoc.main(["protoc", *included, f"--descriptor_set_in={rules}", *arguments]) != 0:
        sys.exit("protos: protoc refuses the contract; see above")


def _describe(rules: Path) -> None:
    output = ["--include_imports", "--include_source_info", f"--descriptor_set_out={DESCRIPTORS}"]
    _protoc(rules, *output, *_sources(), *ALSO_DESCRIBED)


def _generate(rules: Path) -> None:
    shutil.rmtree(DRAFT, ignore_errors=True)
    DRAFT.mkdir()
    scripts = Path(sys.executable).parent
    plugins = [f"--plugin=protoc-gen-{name}={scripts}/protoc-gen-{name}" for name in ("mypy", "mypy_grpc")]
    outputs = [f"--{kind}_out={DRAFT}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    _protoc(rules, *plugins, *outputs, *_sources())
    _protoc(rules, *plugins, f"--python_out={DRAFT}", f"--mypy_out={DRAFT}", VALIDATE)
    for folder in [path for path in DRAFT.rglob("*") if path.is_dir()]:
        (folder / "__init__.py").touch()
    for package in DRAFT.iterdir():
        (package / "py.typed").touch()
    # Python finds its stubs here, a running stack's too: they are away only while a folder gets its name.
    shutil.rmtree(STUBS, ignore_errors=True)
    DRAFT.rename(STUBS)


def _build_wheel() -> Path:
    shutil.copy(ROOT / "pyproject.toml", STUBS / "pyproject.toml")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(BUILD / "wheel"), str(STUBS)]
    shutil.rmtree(BUILD / "wheel", ignore_errors=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next((BUILD / "wheel").glob("*.whl"))


def _install(wheel: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--force-reinstall", str(wheel)]
    subprocess.run(command, check=True)


def _without_source_info() -> Path:
    described = FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    for file in described.file:
        file.ClearField("source_code_info")
    target = BUILD / "released.binpb"
    target.write_bytes(described.SerializeToString())
    return target


if __name__ == "__main__":
    main()
