#!/bin/sh
# Makes the role in which orders serves, where there is none: make-serving.sh HOSTS
#   HOSTS  the members, separated by commas, of which the primary is found
#   PATRONI_SUPERUSER_PASSWORD
set -eu
: "${1:?the members}"
PGPASSWORD=$PATRONI_SUPERUSER_PASSWORD PGCONNECT_TIMEOUT=5 PGOPTIONS='-c client_min_messages=warning' \
  psql -X -q -v ON_ERROR_STOP=1 -f /etc/patroni-metrics/serving.sql \
  "host=$1 user=postgres dbname=postgres target_session_attrs=read-write"
