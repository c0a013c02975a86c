#!/bin/sh
# Resolve what each image installs, to the versions that the project's own lock has.
# Usage: images/lock.sh UV, where UV is uv's program.
set -eu
cd "$(dirname "$0")/.."
lock() { # lock IMAGE SOURCES-AND-OPTIONS...
  image=$1; shift
  "$UV" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command "make image-locks" -c requirements.lock "$@" -o "images/$image/requirements.lock"
}
UV=$1
lock service pyproject.toml images/service/requirements.in
lock mesh --extra mesh pyproject.toml images/mesh/requirements.in
lock contract images/contract/requirements.in
lock postgres images/postgres/requirements.in
lock envoy images/envoy/requirements.in
