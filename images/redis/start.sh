#!/bin/sh
# The password is passed on standard input, because other users can read a process's arguments.
set -eu
: "${REDIS_PASSWORD:?is not set}" "${MAXMEMORY:=256mb}"
# The rights are those of stores/files.py.
monitor=
[ -z "${MONITOR_PASSWORD:-}" ] || monitor="user monitor on >$MONITOR_PASSWORD resetkeys resetchannels -@all +ping +info +latency|latest +slowlog|len +client|setname"
exec redis-server - <<C
include /etc/shop/redis.conf
port 6379
dir /data
requirepass $REDIS_PASSWORD
maxmemory $MAXMEMORY
$monitor
C
