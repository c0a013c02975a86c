#!/bin/sh
# Makes the role that the exporter logs in with, or gives it its password again: make-monitor.sh HOSTS
#   HOSTS             the members, separated by commas, of which the primary is found
#   MONITOR_PASSWORD  the role's password
#   PATRONI_SUPERUSER_PASSWORD
set -eu
: "${1:?the members}" "${MONITOR_PASSWORD:?is not set}"
PGPASSWORD=$PATRONI_SUPERUSER_PASSWORD PGCONNECT_TIMEOUT=5 PGOPTIONS='-c client_min_messages=warning' \
  psql -X -q -v ON_ERROR_STOP=1 -v password="$MONITOR_PASSWORD" -f - -f /etc/patroni-metrics/monitor.sql \
  "host=$1 user=postgres dbname=postgres target_session_attrs=read-write" <<'SQL'
SELECT 'CREATE ROLE monitor' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor') \gexec
ALTER ROLE monitor LOGIN PASSWORD :'password';
SQL
