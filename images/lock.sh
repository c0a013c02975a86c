#!/bin/sh
# Resolve what each image installs, to the versions that the project's own lock has.
# Usage: images/lock.sh UV, where UV is uv's program.
set -eu
cd "$(dirname "$0")/.."
lock() { # lock OUTPUT SOURCES-AND-OPTIONS...
  output=$1; shift
  "$UV" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command "make image-locks" -c requirements.lock "$@" -o "images/$output.lock"
}
UV=$1
lock service/orders --extra orders pyproject.toml
lock service/inventory --extra inventory pyproject.toml
lock pages/requirements --extra web pyproject.toml
lock pages/build images/pages/build.in
lock mesh/requirements --extra mesh pyproject.toml images/mesh/requirements.in
lock contract/requirements images/contract/requirements.in
lock postgres/requirements images/postgres/requirements.in
lock envoy/requirements images/envoy/requirements.in
