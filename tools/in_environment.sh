#!/bin/sh
# Runs a program of this checkout's environment: tools/in_environment.sh ruff check.
set -eu
cd "$(dirname "$0")/.."
bin=$("${PYTHON:-python3}" -c 'import os; from stack import settings; print(settings.read(os.environ, checkout=settings.CHECKOUT).venv / "bin")')
[ -x "$bin/python" ] || { echo 'nothing is installed yet; make protos brings it' >&2; exit 1; }
program=$1; shift
exec "$bin/$program" "$@"
