#!/bin/sh
# The password goes in by standard input: a process's arguments can be read by others.
set -eu
: "${REDIS_PASSWORD:?is not set}" "${MAXMEMORY:=256mb}"
exec redis-server - <<C
include /etc/shop/redis.conf
port 6379
dir /data
requirepass $REDIS_PASSWORD
maxmemory $MAXMEMORY
C
