#!/bin/sh
# The password is passed on standard input, because other users can read a process's arguments.
set -eu
: "${REDIS_PASSWORD:?is not set}" "${MAXMEMORY:=256mb}"
# The rights are those of stores/files.py and stores/access.yaml.
rights="~* resetchannels -@all +@read +@write +@connection +@scripting +@transaction -@admin -@dangerous +info +time -function -script|flush"
monitor=
[ -z "${MONITOR_PASSWORD:-}" ] || monitor="user monitor on >$MONITOR_PASSWORD resetkeys resetchannels -@all +ping +info +latency|latest +slowlog|len +client|setname"
administrator=
[ -z "${ADMIN_PASSWORD:-}" ] || administrator="user admin on >$ADMIN_PASSWORD ~* &* +@all"
exec redis-server - <<C
include /etc/shop/redis.conf
port 6379
dir /data
user default on >$REDIS_PASSWORD $rights
maxmemory $MAXMEMORY
$monitor
$administrator
C
