#!/bin/sh
# Bring what the members of a PostgreSQL cluster agree on to what patroni.yml says: Patroni itself reads that only when
# a cluster is new. Usage: agree.sh PATRONI_YML CONFIGURATION, the latter one that patronictl can use.
set -eu
python3 -c 'import sys, yaml; print(yaml.safe_dump(yaml.safe_load(open(sys.argv[1]))["bootstrap"]["dcs"]))' "$1" |
  patronictl -c "$2" edit-config --quiet --force --apply -
