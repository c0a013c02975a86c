#!/usr/bin/env bash
# Everything that a cluster and Docker have to show, on a one-node cluster of its own that is gone in the end.
# Usage: tests/cluster/run.sh CLUSTER, where CLUSTER is the program that starts one (`up`, `exec`, `compose`, `down`).
set -euo pipefail
cd "$(dirname "$0")/../.."
cluster=$1
trap '"$cluster" down' EXIT
"$cluster" up
# What an operator does on any day (test_planned.py: an API server that is silent, restarts of every member) takes five
# minutes more; `make test-cluster` tries it too. On one node an API server that was silent for a minute finds that node
# not ready when it is back, and Kubernetes takes its pods out of every service for seconds: that case does not hold there.
"$cluster" exec make deploy test-cluster CLUSTER="$cluster" ARGUMENTS="--ignore=tests/cluster/test_planned.py"
"$cluster" exec make undeploy DATA=delete
make test-compose CLUSTER="$cluster"
