#!/bin/sh
# Succeeds if Redis answers and has loaded its data.
REDISCLI_AUTH=$REDIS_PASSWORD timeout 3 redis-cli --no-raw -h 127.0.0.1 ping 2>&1 | grep -q PONG
